"""The card of executions on the home page."""

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext

from apps.automations.contracts import ExecutionStatus
from apps.automations.models import Execution
from apps.common.windows import midnight, site_day
from apps.web.dashboard import Figure, Today
from apps.web.lists import counted_each

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User


def today(user: "User", as_of: datetime) -> Today:
    """Return how many executions were asked for today, how many of those failed, and how many wait
    now, of all that the user may see. One query."""
    rows = Execution.objects.visible_to(user)
    day = site_day(as_of)
    asked = rows.filter(created_at__gte=midnight(day))
    counts = counted_each(
        asked,
        asked.filter(status=ExecutionStatus.FAILED),
        rows.filter(status=ExecutionStatus.WAITING),
    )
    since = {"since": str(day)}
    return Today(
        [
            Figure(counts[0], gettext("run today"), _listed(since)),
            Figure(
                counts[1],
                gettext("failed today"),
                _listed({"status": str(ExecutionStatus.FAILED), **since}),
                tone="" if counts[1] == "0" else "bad",
            ),
            Figure(
                counts[2],
                gettext("wait for people or a time"),
                _listed({"status": str(ExecutionStatus.WAITING)}),
            ),
        ]
    )


def failed(user: "User") -> "QuerySet[Execution]":
    """Return the failed ones of the executions that the user may see."""
    return Execution.objects.visible_to(user).filter(status=ExecutionStatus.FAILED)


def failed_list(code: str) -> str:
    """Return the URL of the list of those that failed with the code; without one, of all."""
    return _listed({"status": str(ExecutionStatus.FAILED), **({"error": code} if code else {})})


def _listed(query: dict[str, str]) -> str:
    return f"{reverse('executions')}?{urlencode(query)}"
