"""What interventions came to: counts, money paid, success and time taken, by what one asks for.

Reads only, in the database. A window has at most a year, groups are bounded, and amounts of
different currencies are never added.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Count, F, FloatField, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncMonth
from django.utils import timezone

from apps.common.errors import Invalid
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Outcome
from apps.interventions.services.policy_limits import site_day

if TYPE_CHECKING:
    from apps.accounts.models import User

VIEW_ALL = "interventions.view_intervention"
#: The window, the first and the last day included.
DEFAULT_DAYS, MOST_DAYS = 30, 366
#: Policies, budgets or regions told apart; days and months have as many as the window.
MOST_GROUPS = 100
MOST_FAILURES = 10
#: Above so many days a chart has months.
MOST_BARS = 92
_YEARS = range(2000, 2201)


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


@dataclass(frozen=True)
class Bar:
    """A day or a month of the chart."""

    day: date
    count: int
    failed: int


def window_of(*, first: date | None, last: date | None, as_of: datetime) -> tuple[date, date]:
    """The days that are meant, both included: the last 30 unless given.

    Invalid `window_invalid` (the last day before the first, or a year that no calendar here has),
    `window_too_long` (more than 366 days).
    """
    given = [day for day in (first, last) if day is not None]
    if any(day.year not in _YEARS for day in given):
        raise Invalid(f"Days lie in the years {_YEARS[0]} to {_YEARS[-1]}.", code="window_invalid")
    if last is None:
        last = site_day(as_of) if first is None else max(first, site_day(as_of))
    if first is None:
        first = last - timedelta(days=DEFAULT_DAYS - 1)
    if last < first:
        raise Invalid("The last day lies before the first.", code="window_invalid")
    if (last - first).days >= MOST_DAYS:
        raise Invalid(f"A window has at most {MOST_DAYS} days.", code="window_too_long")
    return first, last


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


def bars(*, user: "User", first: date, last: date) -> list[Bar]:
    """The window day by day, or month by month where it is long, the empty ones too."""
    monthly = (last - first).days >= MOST_BARS
    zone = timezone.get_default_timezone()
    truncated = TruncMonth("at", tzinfo=zone) if monthly else TruncDay("at", tzinfo=zone)
    found = {
        row["unit"].date(): row
        for row in _rows(user, first, last)
        .values(unit=truncated)
        .annotate(count=Count("pk"), failed=Count("pk", filter=_with(InterventionStatus.FAILED)))
    }
    days = _months(first, last) if monthly else _days(first, last)
    return [
        Bar(
            day,
            count=found[day]["count"] if day in found else 0,
            failed=found[day]["failed"] if day in found else 0,
        )
        for day in days
    ]


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


def _rows(user: "User", first: date, last: date) -> "QuerySet[Outcome]":
    zone = timezone.get_default_timezone()
    begin, end = (
        datetime.combine(day, time.min, tzinfo=zone) for day in (first, last + timedelta(days=1))
    )
    rows = Outcome.objects.filter(at__gte=begin, at__lt=end).order_by()
    # Who does not see all of them sees their own, as in the list.
    return rows if user.has_perm(VIEW_ALL) else rows.filter(intervention__requested_by=user)


def _groups(rows: "QuerySet[Outcome]", by: By) -> tuple[list[Figures], bool]:
    zone = timezone.get_default_timezone()
    if by in (By.DAY, By.MONTH):
        keyed = rows.annotate(
            key=TruncDay("at", tzinfo=zone) if by is By.DAY else TruncMonth("at", tzinfo=zone)
        )
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


def _days(first: date, last: date) -> Sequence[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _months(first: date, last: date) -> Sequence[date]:
    number = (last.year - first.year) * 12 + last.month - first.month
    begin = first.year * 12 + first.month - 1
    return [date((begin + n) // 12, (begin + n) % 12 + 1, 1) for n in range(number + 1)]
