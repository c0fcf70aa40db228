"""The API of outcomes. Mounted at /api/v1/interventions, before the operations of one of them."""

from datetime import date
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.common.money import exact
from apps.common.windows import window_of
from apps.interventions.scopes import Scope
from apps.interventions.services.analytics import By, Figures, outcomes

router = Router(tags=["interventions"])


class FiguresOut(Schema):
    """Counts by how it ended; `paid` per currency, never added together."""

    count: int
    executed: int
    failed: int
    rejected: int
    expired: int
    cancelled: int
    paid: dict[str, str] = Field(description="Currency → decimal in major units.")
    success_rate: float | None = Field(description="Executed of executed and failed, 0 to 1.")
    median_seconds: float | None = Field(description="From the request to its end.")
    p95_seconds: float | None


class GroupOut(FiguresOut):
    """`key`: the code, the region (empty: none was named), the status, the day or the month."""

    key: str


class FailureOut(Schema):
    code: str
    count: int


class OutcomesOut(Schema):
    """`more`: further groups are in `total` alone. `failures`: the most frequent codes."""

    model_config = ConfigDict(populate_by_name=True)

    from_: date = Field(alias="from")
    to: date
    by: By
    total: FiguresOut
    groups: list[GroupOut]
    more: bool
    failures: list[FailureOut]


@router.get("/outcomes", response=OutcomesOut, by_alias=True)
def outcomes_read(
    request: HttpRequest,
    from_: Annotated[date | None, Query(alias="from")] = None,
    to: date | None = None,
    by: By = By.POLICY,
) -> dict[str, Any]:
    """What ended on these days (the last 30 unless given, at most 366), of what the caller may
    see. Days are those of the site's time zone, both included."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    first, last = window_of(first=from_, last=to, as_of=timezone.now())
    found = outcomes(user=user, first=first, last=last, by=by)
    return {
        "from": found.first,
        "to": found.last,
        "by": found.by,
        "total": _figures(found.total),
        "groups": [{"key": one.key, **_figures(one)} for one in found.groups],
        "more": found.more,
        "failures": [{"code": code, "count": count} for code, count in found.failures],
    }


def _figures(figures: Figures) -> dict[str, Any]:
    names = (
        *("count", "executed", "failed", "rejected", "expired", "cancelled"),
        *("success_rate", "median_seconds", "p95_seconds"),
    )
    return {
        **{name: getattr(figures, name) for name in names},
        "paid": {currency: exact(amount, currency) for currency, amount in figures.paid.items()},
    }
