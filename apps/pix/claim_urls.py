from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.decorators.http import require_GET

from apps.pix.views import claims, rulebooks
from apps.web.fragments import fragment

urlpatterns = [
    path("pix/claims/board/", login_required(require_GET(claims.board)), name="claims_board"),
    path(
        "pix/claims/board/live/",
        fragment(require_GET(claims.board_live)),
        name="claims_board_live",
    ),
    *claims.FORM_PAGE.urls("pix/claims/new/"),
    *claims.LIST_PAGE.urls("pix/claims/"),
    *claims.DETAIL_PAGE.urls("pix/claims/<uuid:key>/"),
    path("pix/claims/<uuid:key>/full/", claims.full_key, name="claim_full_key"),
    *claims.VERBS.urls("pix/claims/<uuid:key>/"),
    *rulebooks.FORM_PAGE.urls("pix/rulebooks/new/"),
    *rulebooks.LIST_PAGE.urls("pix/rulebooks/"),
    *rulebooks.DETAIL_PAGE.urls("pix/rulebooks/<uuid:key>/"),
]
