"""The rows of the last 24 hours, by the hour, and what is usual for these hours of the week."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When

from apps.common.grouping import grouped

HOURS = 24
#: The same hours of so many weeks before are what is usual.
WEEKS = 4
#: Stop counting a day here: an exact count of a large table is slow.
MOST = 10_000
_WEEK = timedelta(days=7)

#: The number of an hour, from the first one of its window.
_HOUR = "floor(extract(epoch FROM moment - (%s - week * interval '7 days')) / 3600)::int"


@dataclass(frozen=True)
class Hour:
    """The rows of one hour, and those of them that meet the condition. `usual`: the mean of the
    same hour in the weeks before; None when there are no such rows."""

    begins: datetime
    count: int
    marked: int
    usual: float | None


@dataclass(frozen=True)
class LastDay:
    """The last 24 hours; the last of them is not over.

    `weeks`: how many weeks `usual` is the mean of; 0: they had no rows in these hours. `more`:
    there are more than MOST rows, so the hours are not complete and `usual` is None.
    """

    hours: list[Hour]
    weeks: int
    more: bool

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return sum(hour.count for hour in self.hours)

    @property
    def marked(self) -> int:
        """Return the number of rows that meet the condition."""
        return sum(hour.marked for hour in self.hours)

    @property
    def usual(self) -> float | None:
        """Return the usual number of rows; None when nothing is usual yet."""
        return sum(hour.usual or 0.0 for hour in self.hours) if self.weeks else None


def last_day(
    rows: "QuerySet[Any]", *, as_of: datetime, marked: Q, column: str = "created_at"
) -> LastDay:
    """Count the rows by the time in `column`; `marked` is the condition. The hour that has begun is
    compared with as much of the same hour in the weeks before.

    One query, of at most MOST rows a week. The caller checks who may see the rows.
    """
    start = as_of.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    found = _counts(rows, start, as_of, column=column, marked=marked)
    totals = {week: sum(all for all, _ in hours.values()) for week, hours in found.items()}
    more = max(totals.values(), default=0) > MOST
    # A week before the first row says nothing about what is usual.
    weeks = 0 if more else max(found, default=0)
    hours = []
    for number in range(HOURS):
        of_weeks = sum(found.get(week, {}).get(number, (0, 0))[0] for week in range(1, weeks + 1))
        usual = of_weeks / weeks if weeks else None
        all, hits = found.get(0, {}).get(number, (0, 0))
        hours.append(Hour(start + timedelta(hours=number), all, hits, usual))
    return LastDay(hours, weeks, more)


def _counts(
    rows: "QuerySet[Any]", start: datetime, as_of: datetime, *, column: str, marked: Q
) -> dict[int, dict[int, tuple[int, int]]]:
    """Return week before this one → hour → the number of rows, and of marked ones."""
    first, *others = _windows(rows, start, as_of, column=column, marked=marked)
    found: dict[int, dict[int, tuple[int, int]]] = {}
    for week, hour, all, hits in grouped(
        first.union(*others, all=True).order_by(),
        "week, moment, hit",
        by=("week", _HOUR),
        figures="count(*), count(*) FILTER (WHERE hit)",
        values=[start],
    ):
        found.setdefault(week, {})[hour] = (all, hits)
    return found


def _windows(
    rows: "QuerySet[Any]", start: datetime, as_of: datetime, *, column: str, marked: Q
) -> "Iterator[QuerySet[Any]]":
    hit = Case(When(marked, then=True), default=False, output_field=BooleanField())
    for week in range(WEEKS + 1):
        ago = week * _WEEK
        span = {f"{column}__gte": start - ago, f"{column}__lte": as_of - ago}
        # Only this week's condition is shown; without it an index alone answers for the others.
        chosen = rows.filter(**span).annotate(
            week=Value(week), hit=hit if week == 0 else Value(False)
        )
        yield chosen.order_by(f"-{column}").values_list("week", column, "hit")[: MOST + 1]
