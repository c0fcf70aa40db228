"""The outcomes of interventions, and what they are grouped by."""

from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.common.language import lazy as _
from apps.common.outcomes import Outcomes
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Outcome

if TYPE_CHECKING:
    from apps.accounts.models import User

VIEW_ALL = "interventions.view_intervention"


class By(StrEnum):
    """What outcomes are grouped by."""

    POLICY = "policy"
    BUDGET = "budget"
    REGION = "region"
    STATUS = "status"
    DAY = "day"
    MONTH = "month"


def _visible(user: "User") -> "QuerySet[Outcome]":
    """Return all outcomes for users who may view all interventions, otherwise those of their
    own."""
    rows = Outcome.objects.all()
    return rows if user.has_perm(VIEW_ALL) else rows.filter(intervention__requested_by=user)


OUTCOMES = Outcomes(
    rows=_visible,
    by=By,
    columns={
        By.POLICY: "intervention__policy__code",
        By.BUDGET: "intervention__budget__code",
        By.REGION: "intervention__region",
        By.STATUS: "status",
    },
    ends={
        "executed": _("executed"),
        "failed": _("failed"),
        "rejected": _("rejected"),
        "expired": _("expired"),
        "cancelled": _("called off"),
    },
    done=InterventionStatus.EXECUTED,
    failed=InterventionStatus.FAILED,
    currency="intervention__currency",
    code="intervention__error_code",
)
