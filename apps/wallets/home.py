"""The card of top-ups on the home page."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext

from apps.common.windows import midnight, site_day
from apps.wallets.contracts import REVIEW_KIND, ReviewStatus, TopUpStatus
from apps.wallets.models import PaymentReview, TopUp
from apps.web.dashboard import Figure, Today
from apps.web.lists import counted_each

if TYPE_CHECKING:
    from apps.accounts.models import User


def today(user: "User", as_of: datetime) -> Today:
    """Return how many top-ups wait for the payment, how many were credited today, and how many
    payments a person has to review, of all that the user may see. One query."""
    rows, reviews = TopUp.objects.visible_to(user), PaymentReview.objects.visible_to(user)
    waiting, credited, in_review = counted_each(
        rows.filter(status=TopUpStatus.AWAITING_PAYMENT),
        rows.filter(credited_at__gte=midnight(site_day(as_of))),
        reviews.filter(status=ReviewStatus.AWAITING_DECISION),
    )
    return Today(
        [
            Figure(
                waiting,
                gettext("wait for the payment"),
                f"{reverse('topups')}?status={TopUpStatus.AWAITING_PAYMENT}",
            ),
            Figure(credited, gettext("credited today")),
            Figure(
                in_review,
                gettext("in review"),
                f"{reverse('inbox')}?kind={REVIEW_KIND}",
                tone="" if in_review == "0" else "warn",
            ),
        ]
    )
