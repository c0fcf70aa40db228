"""The card of infractions on the home page."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext

from apps.pix.models import Infraction
from apps.web.dashboard import Figure, Today
from apps.web.lists import counted_each

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Due within so long: nobody should be surprised by it.
SOON = timedelta(days=2)


def today(user: "User", as_of: datetime) -> Today:
    """Return how many infractions are open, due soon and overdue, of all that the user may see. One
    query."""
    open_ones = Infraction.objects.visible_to(user).unsettled()
    waiting, soon, late = counted_each(
        open_ones,
        open_ones.filter(due_at__gte=as_of, due_at__lt=as_of + SOON),
        open_ones.filter(due_at__lt=as_of),
    )
    address = reverse("infractions")
    return Today(
        [
            Figure(waiting, gettext("open"), f"{address}?due=open"),
            Figure(
                soon,
                gettext("due within two days"),
                f"{address}?due=soon",
                tone="" if soon == "0" else "warn",
            ),
            Figure(
                late,
                gettext("overdue"),
                f"{address}?due=overdue",
                tone="" if late == "0" else "bad",
            ),
        ]
    )
