"""Figures of rows that have ended: counts, money, success and duration, by group.

Reads only, in the database. A window has at most a year, groups are limited, and amounts of
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

from apps.common.grouping import grouped
from apps.common.windows import MOST_DAYS, Counted, Window, counted, truncation

if TYPE_CHECKING:
    from apps.accounts.models import User

#: The most groups, such as regions; days and months have as many as the window.
MOST_GROUPS = 100
MOST_FAILURES = 10
#: The format of days and months, by the value of `by`.
_TIMES = {"day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass(frozen=True)
class Figures:
    """Figures of one group, or of all. `ends`: status → number of rows. `paid`: currency → sum of
    the successful amounts, in major units. Seconds from the request to its end: the median, and the
    95th percentile. `success_rate`: successes divided by attempts, without rejected and cancelled
    rows; None without attempts."""

    key: str
    count: int
    ends: dict[str, int]
    success_rate: float | None
    median_seconds: float | None
    p95_seconds: float | None
    paid: dict[str, Decimal]


@dataclass(frozen=True)
class Found:
    """The figures of a window. `more`: there are groups beyond the largest ones, counted only in
    `total`. `failures`: the most frequent error codes, with their number."""

    first: date
    last: date
    by: StrEnum
    total: Figures
    groups: list[Figures]
    more: bool
    failures: list[tuple[str, int]]


@dataclass(frozen=True)
class Ended:
    """How many rows ended in a window, by status, and the successful amounts by currency."""

    ends: dict[str, int]
    paid: dict[str, Decimal]


class _Percentiles(Aggregate):
    """Computes two percentiles at once, so that the rows are sorted once."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(FloatField())


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Describes a domain's rows with outcomes: `status`, `amount`, `seconds` (the duration), and
    `at`, when it ended.

    `rows`: those that a user may see. `by`: the possible groupings, whose columns are in `columns`;
    `day` and `month` use `at`. `ends`: status → its text; `done` and `failed` are two of them.
    `currency` and `code`: the columns of the amount's currency and of a failure's code.
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
        """Return the figures of rows that the user may see and that ended in the window."""
        rows = self._within(user, window)
        groups, more = self._groups(rows, by)
        paid = self._paid(rows.annotate(key=Value(""))).get("", {})
        total = self._figures("", rows.aggregate(**self._measures()), paid)
        return Found(*window, by, total, groups, more, self._codes(rows))

    def ended(self, *, user: "User", window: Window, most: int) -> Ended | None:
        """Return what the user's rows of the window came to; None for more than `most` rows, whose
        sum takes long. One query."""
        rows = self._within(user, window).order_by("-at")
        newest = rows.values_list("status", self.currency, "amount")[: most + 1]
        ends: dict[str, int] = {}
        paid: dict[str, Decimal] = {}
        for status, currency, number, amount in grouped(
            newest,
            "status, currency, amount",
            by=("status", "currency"),
            figures="count(*), sum(amount)",
        ):
            ends[status] = ends.get(status, 0) + number
            if status == self.done:
                paid[currency] = amount
        return None if sum(ends.values()) > most else Ended(ends, paid)

    def bars(self, *, user: "User", window: Window) -> list[Counted]:
        """Count the window's rows by day, or by month in a long window, including empty units;
        failed rows are marked."""
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
        """Return key → currency → sum."""
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
