"""What interventions came to: counts, money paid, success and time taken, by what one asks for.

Reads only, in the database. A window has at most a year, groups are bounded, and amounts of
different currencies are never added.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Count, F, FloatField, Q, QuerySet, Sum

from apps.common.windows import MOST_DAYS, Counted, Window, counted, truncation
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Outcome

if TYPE_CHECKING:
    from apps.accounts.models import User

VIEW_ALL = "interventions.view_intervention"
#: Policies, budgets or regions told apart; days and months have as many as the window.
MOST_GROUPS = 100
MOST_FAILURES = 10


class By(StrEnum):
    """What outcomes are told apart by."""

    POLICY = "policy"
    BUDGET = "budget"
    REGION = "region"
    STATUS = "status"
    DAY = "day"
    MONTH = "month"


_COLUMNS = {
    By.POLICY: "intervention__policy__code",
    By.BUDGET: "intervention__budget__code",
    By.REGION: "intervention__region",
    By.STATUS: "status",
}


@dataclass(frozen=True)
class Figures:
    """Of the outcomes of one group, or of all. `paid`: currency → what was executed, in major
    units. Seconds from the request to its end: half, and 95 of 100, took no longer."""

    key: str
    count: int = 0
    executed: int = 0
    failed: int = 0
    rejected: int = 0
    expired: int = 0
    cancelled: int = 0
    median_seconds: float | None = None
    p95_seconds: float | None = None
    paid: dict[str, Decimal] = field(default_factory=dict)

    @property
    def success_rate(self) -> float | None:
        """Executed of those that were tried: what people refused or called off is no failure."""
        tried = self.executed + self.failed
        return self.executed / tried if tried else None


@dataclass(frozen=True)
class Outcomes:
    """`more`: there are groups beyond the ones with the most outcomes, counted in `total` alone.
    `failures`: the codes that failed most, with how often."""

    first: date
    last: date
    by: By
    total: Figures
    groups: list[Figures]
    more: bool
    failures: list[tuple[str, int]]


def outcomes(*, user: "User", first: date, last: date, by: By) -> Outcomes:
    """Of the interventions that the person may see and that ended on these days, both included."""
    rows = _rows(user, first, last)
    groups, more = _groups(rows, by)
    totals = rows.aggregate(**_FIGURES)
    return Outcomes(
        first=first,
        last=last,
        by=by,
        total=_figures("", totals, _paid(rows)),
        groups=groups,
        more=more,
        failures=_failures(rows),
    )


def bars(*, user: "User", first: date, last: date) -> list[Counted]:
    """The window day by day, or month by month where it is long, the empty ones too; those that
    failed are marked."""
    failed = _with(InterventionStatus.FAILED)
    return counted(_visible(user), Window(first, last), column="at", marked=failed)


class _Percentiles(Aggregate):
    """Two at once: the rows are sorted once."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(FloatField())


def _with(status: InterventionStatus) -> Q:
    return Q(status=status)


_FIGURES: dict[str, Any] = {
    "number": Count("pk"),
    **{s.value: Count("pk", filter=_with(s)) for s in InterventionStatus if s.terminal},
    "percentiles": _Percentiles("seconds"),
}


def _visible(user: "User") -> "QuerySet[Outcome]":
    """Who does not see all of them sees their own, as in the list."""
    rows = Outcome.objects.order_by()
    return rows if user.has_perm(VIEW_ALL) else rows.filter(intervention__requested_by=user)


def _rows(user: "User", first: date, last: date) -> "QuerySet[Outcome]":
    return Window(first, last).of(_visible(user), "at")


def _groups(rows: "QuerySet[Outcome]", by: By) -> tuple[list[Figures], bool]:
    if by in (By.DAY, By.MONTH):
        keyed = rows.annotate(key=truncation("at", monthly=by is By.MONTH))
        order, most = "key", MOST_DAYS + 1
    else:
        keyed = rows.annotate(key=F(_COLUMNS[by]))
        order, most = "-number", MOST_GROUPS
    found: list[Any] = list(
        keyed.values("key").annotate(**_FIGURES).order_by(order, "key")[: most + 1]
    )
    more = len(found) > most
    found = found[:most]
    paid: dict[Any, dict[str, Decimal]] = {}
    sums = (
        keyed.filter(status=InterventionStatus.EXECUTED, key__in=[row["key"] for row in found])
        .values("key", currency=F("intervention__currency"))
        .annotate(paid=Sum("amount"))
        .order_by("key", "currency")
    )
    for row in sums:
        paid.setdefault(row["key"], {})[row["currency"]] = row["paid"]
    return [_figures(_name(r["key"], by), r, paid.get(r["key"], {})) for r in found], more


def _name(key: Any, by: By) -> str:
    if by is By.DAY:
        return f"{key:%Y-%m-%d}"
    return f"{key:%Y-%m}" if by is By.MONTH else str(key)


def _paid(rows: "QuerySet[Outcome]") -> dict[str, Decimal]:
    executed = rows.filter(status=InterventionStatus.EXECUTED)
    sums = executed.values(currency=F("intervention__currency")).annotate(paid=Sum("amount"))
    return {row["currency"]: row["paid"] for row in sums.order_by("currency")}


def _failures(rows: "QuerySet[Outcome]") -> list[tuple[str, int]]:
    found = (
        rows.filter(status=InterventionStatus.FAILED)
        .values(code=F("intervention__error_code"))
        .annotate(number=Count("pk"))
        .order_by("-number", "code")[:MOST_FAILURES]
    )
    return [(row["code"], row["number"]) for row in found]


def _figures(key: str, row: dict[str, Any], paid: dict[str, Decimal]) -> Figures:
    median, p95 = row["percentiles"] or (None, None)
    counts = {s.value: row[s.value] for s in InterventionStatus if s.terminal}
    return Figures(
        key=key,
        count=row["number"],
        median_seconds=median,
        p95_seconds=p95,
        paid=paid,
        **counts,
    )
