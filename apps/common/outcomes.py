"""What rows that have ended came to: counts, money, success and time taken, by what one asks for.

Reads only, in the database. A window has at most a year, groups are bounded, and amounts of
different currencies are never added.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Count, F, FloatField, Q, QuerySet, Sum, Value

from apps.common.windows import MOST_DAYS, Counted, Window, counted, truncation

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Groups told apart, such as regions; days and months have as many as the window.
MOST_GROUPS = 100
MOST_FAILURES = 10
#: How days and months are written, by what `by` calls them.
_TIMES = {"day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass(frozen=True)
class Figures:
    """Of one group, or of all. `ends`: status → how many ended so. `paid`: currency → the amounts
    of what was done, in major units. Seconds from the request to its end: half, and 95 of 100, took
    no longer. `success_rate`: what was done of what was tried, which what people refused or called
    off was not; None where nothing was."""

    key: str
    count: int
    ends: dict[str, int]
    success_rate: float | None
    median_seconds: float | None
    p95_seconds: float | None
    paid: dict[str, Decimal]


@dataclass(frozen=True)
class Found:
    """`more`: there are groups beyond the ones with the most rows, counted in `total` alone.
    `failures`: the codes that failed most, with how often."""

    first: date
    last: date
    by: StrEnum
    total: Figures
    groups: list[Figures]
    more: bool
    failures: list[tuple[str, int]]


class _Percentiles(Aggregate):
    """Two at once: the rows are sorted once."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(FloatField())


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Rows of a domain that say how something ended: `status`, `amount`, `seconds` that it took,
    and `at`, when it ended.

    `rows`: those that a person may see. `by`: what they are told apart by, of which `columns` says
    where it stands; `day` and `month` are those of `at`. `ends`: status → what people call it;
    `done` and `failed` are two of them. `currency` and `code`: the columns of the amount's currency
    and of a failure's code.
    """

    rows: "Callable[[User], QuerySet[Any]]"
    by: type[StrEnum]
    columns: Mapping[str, str]
    ends: Mapping[str, str]
    done: str
    failed: str
    currency: str
    code: str

    def of(self, *, user: "User", window: Window, by: StrEnum) -> Found:
        """Of the rows that the person may see and that ended in the window."""
        rows = self._within(user, window)
        groups, more = self._groups(rows, by)
        paid = self._paid(rows.annotate(key=Value(""))).get("", {})
        total = self._figures("", rows.aggregate(**self._measures()), paid)
        return Found(*window, by, total, groups, more, self._codes(rows))

    def bars(self, *, user: "User", window: Window) -> list[Counted]:
        """The window day by day, or month by month where it is long, the empty ones too; those that
        failed are marked."""
        rows = self.rows(user).order_by()
        return counted(rows, window, column="at", marked=Q(status=self.failed))

    def _within(self, user: "User", window: Window) -> "QuerySet[Any]":
        return window.of(self.rows(user).order_by(), "at")

    def _measures(self) -> dict[str, Any]:
        ends = {status: Count("pk", filter=Q(status=status)) for status in self.ends}
        return {"number": Count("pk"), "percentiles": _Percentiles("seconds"), **ends}

    def _groups(self, rows: "QuerySet[Any]", by: StrEnum) -> tuple[list[Figures], bool]:
        written = _TIMES.get(by, "")
        if written:
            keyed = rows.annotate(key=truncation("at", monthly=by == "month"))
            order, most = "key", MOST_DAYS + 1
        else:
            keyed = rows.annotate(key=F(self.columns[by]))
            order, most = "-number", MOST_GROUPS
        grouped = keyed.values("key").annotate(**self._measures()).order_by(order, "key")
        found = list(grouped[: most + 1])
        more = len(found) > most
        found = found[:most]
        paid = self._paid(keyed.filter(key__in=[row["key"] for row in found]))
        figures = [
            self._figures(format(row["key"], written), row, paid.get(row["key"], {}))
            for row in found
        ]
        return figures, more

    def _paid(self, keyed: "QuerySet[Any]") -> dict[Any, dict[str, Decimal]]:
        """Key → currency → the sum."""
        paid: dict[Any, dict[str, Decimal]] = {}
        done = keyed.filter(status=self.done).values("key", unit=F(self.currency))
        for row in done.annotate(paid=Sum("amount")).order_by("unit"):
            paid.setdefault(row["key"], {})[row["unit"]] = row["paid"]
        return paid

    def _codes(self, rows: "QuerySet[Any]") -> list[tuple[str, int]]:
        codes = rows.filter(status=self.failed).values(why=F(self.code))
        found = codes.annotate(number=Count("pk")).order_by("-number", "why")
        return [(row["why"], row["number"]) for row in found[:MOST_FAILURES]]

    def _figures(self, key: str, row: dict[str, Any], paid: dict[str, Decimal]) -> Figures:
        median, p95 = row["percentiles"] or (None, None)
        ends = {status: row[status] for status in self.ends}
        tried = ends[self.done] + ends[self.failed]
        rate = ends[self.done] / tried if tried else None
        return Figures(key, row["number"], ends, rate, median, p95, paid)
