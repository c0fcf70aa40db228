"""URLs of Pix keys."""

from django.urls import URLPattern, URLResolver, path

from apps.pix.claim_urls import urlpatterns as claim_pages
from apps.pix.views import infractions, key_forms, keys, syncs

urlpatterns: list[URLPattern | URLResolver] = [
    *keys.LIST_PAGE.urls("pix/keys/"),
    *key_forms.FORM_PAGE.urls("pix/keys/new/"),
    *key_forms.FIND_PAGE.urls("pix/keys/find/"),
    *keys.DETAIL_PAGE.urls("pix/keys/<uuid:key>/"),
    path("pix/keys/<uuid:key>/change/", key_forms.change_page, name="key_change"),
    path("pix/keys/<uuid:key>/code/", keys.code, name="entry_code"),
    path("pix/keys/<uuid:key>/code/new/", keys.new_code, name="entry_new_code"),
    path("pix/keys/<uuid:key>/full/", keys.full_key, name="entry_full_key"),
    *keys.VERBS.urls("pix/keys/<uuid:key>/"),
    path("pix/key-changes/<uuid:key>/", keys.change, name="entry_change"),
    *claim_pages,
    *infractions.LIST_PAGE.urls("pix/infractions/"),
    *infractions.FORM_PAGE.urls("pix/infractions/new/"),
    *infractions.DETAIL_PAGE.urls("pix/infractions/<uuid:key>/"),
    *infractions.VERBS.urls("pix/infractions/<uuid:key>/"),
    *syncs.LIST_PAGE.urls("pix/sync/"),
    *syncs.FORM_PAGE.urls("pix/sync/new/"),
    *syncs.urls("pix/sync/<uuid:key>/"),
    *syncs.DETAIL_PAGE.urls("pix/sync/<uuid:key>/"),
    *syncs.VERBS.urls("pix/sync/<uuid:key>/"),
]
