"""The card of payments on the home page, and the figure beside the quarantine."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Sum
from django.urls import reverse
from django.utils.translation import gettext

from apps.common.windows import midnight, site_day
from apps.payments.models import Intake, PaymentEvent, QuarantineGroup
from apps.web.dashboard import Figure, Today
from apps.web.lists import bounded, counted_each, shown_count

if TYPE_CHECKING:
    from apps.accounts.models import User


def open_count() -> int:
    """Return how many quarantined events are open: the sum of the groups' counters."""
    return QuarantineGroup.objects.filter(open__gt=0).aggregate(all=Sum("open"))["all"] or 0


def waiting(user: "User") -> str:
    """Return the figure beside the quarantine in the navigation."""
    return shown_count(open_count())


def today(user: "User", as_of: datetime) -> Today:
    """Return how many events were kept today, how many are on their way, and how many are open in
    the quarantine."""
    kept, under_way = counted_each(
        PaymentEvent.objects.filter(ingested_at__gte=midnight(site_day(as_of))),
        Intake.objects.filter(done_at=None),
    )
    quarantined = open_count()
    return Today(
        [
            Figure(kept, gettext("kept today"), reverse("payment_events")),
            Figure(under_way, gettext("on their way"), reverse("payments")),
            Figure(
                bounded(quarantined),
                gettext("in the quarantine"),
                reverse("quarantine"),
                tone="bad" if quarantined else "",
            ),
        ]
    )
