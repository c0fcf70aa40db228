"""Windows of days, and counts per day or month.

Days are those of the site's time zone, which sets the periods, not those of the reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.db.models import Count, DateField, Q, QuerySet
from django.db.models.functions import TruncDay, TruncMonth
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.dates import day_words
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

#: The default window, and the longest one; both ends are included.
DEFAULT_DAYS, MOST_DAYS = 30, 366
#: A longer window is counted by month.
MOST_BY_DAY = 92
_YEARS = range(2000, 2201)


def site_day(as_of: datetime) -> date:
    """Return the current day in the site's time zone."""
    return timezone.localdate(as_of, timezone.get_default_timezone())


def midnight(day: date) -> datetime:
    """Return the time at which the day begins in the site's time zone."""
    return datetime.combine(day, time(), tzinfo=timezone.get_default_timezone())


class Window(NamedTuple):
    """The first and the last day, both included."""

    first: date
    last: date

    @property
    def monthly(self) -> bool:
        """Return whether the window is counted by month."""
        return (self.last - self.first).days >= MOST_BY_DAY

    def of(self, rows: "QuerySet[Any]", column: str) -> "QuerySet[Any]":
        """Return the rows whose time in the column is in the window."""
        end = midnight(self.last + timedelta(days=1))
        return rows.filter(**{f"{column}__gte": midnight(self.first), f"{column}__lt": end})

    def units(self) -> list[date]:
        """Return the window's days, or the first days of its months if it is counted by month."""
        if not self.monthly:
            return [
                self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)
            ]
        begin, end = (day.year * 12 + day.month - 1 for day in self)
        return [date(number // 12, number % 12 + 1, 1) for number in range(begin, end + 1)]


def window_of(*, first: date | None, last: date | None, as_of: datetime) -> Window:
    """Return the window from `first` to `last`; by default the last 30 days.

    Raises Invalid `window_invalid` (the last day before the first, or a year outside the supported
    range), `window_too_long` (more than 366 days).
    """
    given = [day for day in (first, last) if day is not None]
    if any(day.year not in _YEARS for day in given):
        raise Invalid(
            filled(
                _("Days lie in the years {years} to {years2}."), years=_YEARS[0], years2=_YEARS[-1]
            ),
            code="window_invalid",
        )
    if last is None:
        last = site_day(as_of) if first is None else max(first, site_day(as_of))
    if first is None:
        first = last - timedelta(days=DEFAULT_DAYS - 1)
    if last < first:
        raise Invalid(_("The last day lies before the first."), code="window_invalid")
    if (last - first).days >= MOST_DAYS:
        raise Invalid(
            filled(_("A window has at most {most_days} days."), most_days=MOST_DAYS),
            code="window_too_long",
        )
    return Window(first, last)


class Period(NamedTuple):
    """The days on which something is valid, the first and the last included; None: unlimited."""

    first: date | None
    last: date | None

    def checked(self) -> "Period":
        """Return the period. Raises Invalid `days_out_of_order`."""
        if self.first is not None and self.last is not None and self.last < self.first:
            raise Invalid(_("The last day lies before the first."), code="days_out_of_order")
        return self

    def has(self, day: date) -> bool:
        """Return whether the day is in the period."""
        return (self.first or day) <= day <= (self.last or day)

    @property
    def words(self) -> str:
        """Describe it: `1 Jan 2026 to 31 Mar 2026`; empty if it is unlimited on both sides."""
        first, last = (day_words(day) if day else "" for day in self)
        if first and last:
            return gettext("{first} to {last}").format(first=first, last=last)
        return (
            gettext("from {first} on").format(first=first)
            if first
            else gettext("until {last}").format(last=last)
            if last
            else ""
        )


@dataclass(frozen=True)
class Counted:
    """The number of rows of a day or a month, by its first day. `marked`: those that meet a
    condition, such as failed ones."""

    begins: date
    count: int
    marked: int


def counted(rows: "QuerySet[Any]", window: Window, *, column: str, marked: Q) -> list[Counted]:
    """Count the window's rows by the time in `column`, for each unit, including empty ones.

    One grouped query. The caller checks who may see the rows.
    """
    truncated = truncation(column, monthly=window.monthly)
    return _counted(window.of(rows, column), truncated, window.units(), marked)


def truncation(column: str, *, monthly: bool) -> TruncDay | TruncMonth:
    """Return the expression of the day or month of a time column, in the site's time zone."""
    truncated = TruncMonth if monthly else TruncDay
    zone = timezone.get_default_timezone()
    return truncated(column, output_field=DateField(), tzinfo=zone)


def _counted(rows: "QuerySet[Any]", unit: Any, units: Sequence[date], marked: Q) -> list[Counted]:
    grouped = rows.order_by().values(unit=unit)
    found = {
        row["unit"]: (row["all"], row["some"])
        for row in grouped.annotate(all=Count("pk"), some=Count("pk", filter=marked))
    }
    return [Counted(begins, *found.get(begins, (0, 0))) for begins in units]
