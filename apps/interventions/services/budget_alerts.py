"""Alerts when a budget's available money falls below its share, once for each fall.

The guarded UPDATE returns the balances before and after, so of many concurrent changes exactly the
one that crossed the threshold raises the alert, without another query.
"""

from decimal import Decimal

from django.urls import reverse
from django.utils.translation import gettext

from apps.audit.contracts import ENGINE
from apps.audit.services import entry_record
from apps.common.language import lazy as _
from apps.common.money import exact, figure, shown
from apps.interventions.models import Budget
from apps.live.broadcast import broadcast
from apps.notifications import kinds
from apps.notifications.services import notify_group

ALERT_KIND = "budget.low"
#: Groups to notify: those who can request money from other budgets, and those who would sign it.
TOLD_GROUP = "operator"
ALSO_GROUP = "senior reviewer"


def low_tell(budget: Budget, *, free: Decimal, total: Decimal, percent: int, version: int) -> None:
    """Notify people that a change took the available money below its share. Joins the transaction
    of the change, so nobody is notified of a change that was rolled back; `version` makes the
    notification unique."""
    entry_record(
        action="budget.low",
        subject_type="budget",
        subject_id=budget.code,
        by=ENGINE,
        via="engine",
        body={
            "free": exact(free, budget.currency),
            "total": exact(total, budget.currency),
            "percent": percent,
        },
    )
    notify_group(
        key=f"budget:{budget.pk}:low:{version}",
        group=TOLD_GROUP,
        kind=ALERT_KIND,
        title=gettext("Little is left in {name}").format(name=budget.name),
        text=gettext(
            "{shown} of {figure} are free, less than {percent} %. What it does not "
            "cover any more is refused."
        ).format(
            shown=shown(free, budget.currency),
            figure=figure(total, budget.currency),
            percent=percent,
        ),
        url=reverse("budget", args=[budget.code]),
    )
    broadcast("home", id=budget.code, version=version)


def register() -> None:
    """Register the notification kind. Called once, when Django is ready."""
    kinds.register(
        kinds.NotificationKind(
            ALERT_KIND,
            _("Little is left in a budget"),
            email=True,
            permission="interventions.view_budget",
            relevant=_still_low,
            also=kinds.group_too(ALSO_GROUP),
        )
    )


def _still_low(key: str) -> bool:
    """Return whether the budget in the key is still below its share when the notification is
    sent."""
    number = key.split(":")[1]
    return Budget.objects.low().filter(pk=int(number)).exists()
