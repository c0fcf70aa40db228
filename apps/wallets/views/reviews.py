"""The page of a payment that a person looks at."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.engine.timeline import timeline
from apps.wallets.contracts import REVIEW, ReviewCode
from apps.wallets.models import PaymentReview
from apps.wallets.models.payments import WHY
from apps.wallets.views.topups import LIST, top_up_title
from apps.web.fragments import person
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head


def _rows(user: User) -> Any:
    return PaymentReview.objects.visible_to(user).select_related(
        "payment__top_up__wallet__rider", "event"
    )


def _context(request: HttpRequest, review: PaymentReview) -> dict[str, Any]:
    user = person(request)
    return {
        "topics": f"{REVIEW}:{review.pk} inbox",
        "head": Head(
            str(review),
            gettext("found"),
            at=review.created_at,
            crumbs=(LIST,),
            state=review.status,
        ),
        "facts": _facts(review),
        "requests": requests_about(REVIEW, review.pk).visible_to(user).order_by("created_at")[:20],
        "timeline": timeline(
            subjects=[(REVIEW, str(review.pk))],
            workflow_ids=[],
            older=request.GET.get("older", ""),
        ),
    }


def _facts(review: PaymentReview) -> list[Fact]:
    payment, event = review.payment, review.event
    top_up = payment.top_up if payment else None
    facts = (
        Fact(gettext("Why"), str(WHY[ReviewCode(review.code)])),
        Fact(gettext("What was found"), review.detail, form="prose"),
        Fact(gettext("Reference"), review.reference, form="code"),
        Fact(gettext("Transaction"), payment.provider_id if payment else "", form="code"),
        Fact(
            gettext("Top-up"),
            top_up_title(top_up) if top_up else "",
            href=reverse("topup", args=[top_up.pk]) if top_up else "",
        ),
        Fact(gettext("Webhook"), event.event if event else "", form="code"),
        Fact(gettext("Refund"), payment.refund_id if payment else "", form="code"),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="payment_review",
    rows=_rows,
    context=_context,
    main=("web/_asked.html",),
    after=("console/_timeline.html",),
)
