"""Burn-down of a balance: what was free at the end of each day, and when it will be used up.

Sums by day come from the database, through a covering index; past days never change, so they are
summed up once a day and process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from django.core.cache import cache
from django.db.models import QuerySet, Sum
from django.utils.translation import gettext

from apps.common.dates import day_words
from apps.common.money import shown
from apps.common.windows import MOST_DAYS, Period, Window, midnight, site_day, truncation
from apps.web.charts import LineChart, Reading, line

#: How many days the pace is averaged over.
PACE_DAYS = 30
#: With fewer days there is no pace: a period's first day would predict its end within weeks.
LEAST_DAYS = 3
#: No prediction beyond this: a tiny pace would lead past the calendar's end.
FARTHEST_DAYS = 3660
CACHE_SECONDS = 26 * 3600

_NONE = Decimal(0)
#: Amounts by day and kind of line.
Sums = dict[date, dict[str, Decimal]]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A balance of which `free` is left now, and its ledger.

    `lines` have `kind`, `amount` and `at`, with an index on `at`. `frees` and `uses`: kind → the
    factor by which a line's amount changes the free and the used money: 1, -1 or 0. `key`
    identifies the account.
    """

    key: str
    lines: "QuerySet[Any]"
    frees: Mapping[str, int]
    uses: Mapping[str, int]
    free: Decimal
    currency: str
    period: Period


@dataclass(frozen=True)
class Pace:
    """The average use per day over that many days, and the day on which nothing would be left, if
    any. Zero while there are too few days."""

    amount: Decimal
    days: int
    used_up_on: date | None


@dataclass(frozen=True)
class BurnDown:
    """The chart, and its description. `used_up_in_time`: when the money is used up, if within the
    period."""

    currency: str
    line: LineChart
    pace: Pace
    words: str
    used_up_in_time: date | None

    @property
    def ahead_words(self) -> str:
        """Describe the dashed line."""
        return gettext("at the pace of the last {days} days").format(days=self.pace.days)


def burn_down(account: Account, *, as_of: datetime) -> BurnDown | None:
    """Return the chart of the account's period up to today, or of the last year; None while its
    ledger is empty, before its first day, and if the period ended before its first line."""
    today = site_day(as_of)
    days = _days(account, today=today)
    if days is None:
        return None
    first, last, end = days
    running = last == today
    sums = _sums(account, first=first, last=last, today=today)
    free = account.free if running else account.free - _changed_after(account, last)
    readings: list[Reading] = []
    for back in range((last - first).days + 1):
        day = last - timedelta(days=back)
        readings.append(Reading(day, free))
        free -= _sum(sums.get(day, {}), account.frees)
    readings.reverse()
    pace = _pace(account, sums, readings, running=running)
    used_up = pace.used_up_on
    return BurnDown(
        currency=account.currency,
        line=line(
            readings, ends_on=end, ahead=_ahead(readings[-1], pace, end) if running else None
        ),
        pace=pace,
        words=_words(account, readings, pace, running=running),
        used_up_in_time=used_up if used_up and account.period.has(used_up) else None,
    )


def _days(account: Account, *, today: date) -> tuple[date, date, date] | None:
    """Return the first and last day with a value, and the end of the chart."""
    starts_on, ends_on = account.period
    if starts_on is not None and starts_on > today:
        return None
    began = account.lines.order_by("at").values_list("at", flat=True).first()
    if began is None or (ends_on is not None and ends_on < site_day(began)):
        return None
    last = min(today, ends_on or today)
    first = min(starts_on or site_day(began), last)
    first = max(first, last - timedelta(days=MOST_DAYS - 1))
    end = ends_on or last + timedelta(days=PACE_DAYS)
    return first, last, min(end, last + timedelta(days=MOST_DAYS))


def _sums(account: Account, *, first: date, last: date, today: date) -> Sums:
    """Return amounts by day and kind. Yesterday may still get a line from a transaction that runs
    over midnight; the days before it are cached."""
    closed = min(last, today - timedelta(days=2))
    key = f"burn-down:{account.key}:{first.isoformat()}:{closed.isoformat()}"
    sums: Sums | None = cache.get(key)
    if sums is None:
        sums = _added_up(account, first, closed)
        cache.set(key, sums, CACHE_SECONDS)
    return {**sums, **_added_up(account, max(first, closed + timedelta(days=1)), last)}


def _added_up(account: Account, first: date, last: date) -> Sums:
    sums: Sums = {}
    if first <= last:
        rows = (
            Window(first, last)
            .of(account.lines, "at")
            .annotate(day=truncation("at", monthly=False))
            .order_by()
            .values_list("day", "kind")
            .annotate(amount=Sum("amount"))
        )
        for day, kind, amount in rows:
            sums.setdefault(day, {})[kind] = amount
    return sums


def _changed_after(account: Account, day: date) -> Decimal:
    """Return how much more is free now than at the end of the day."""
    rows = account.lines.filter(at__gte=midnight(day + timedelta(days=1))).order_by()
    amounts = dict(rows.values_list("kind").annotate(amount=Sum("amount")))
    return _sum(amounts, account.frees)


def _sum(amounts: dict[str, Decimal], weights: Mapping[str, int]) -> Decimal:
    return sum((weights[kind] * amount for kind, amount in amounts.items()), _NONE)


def _pace(account: Account, sums: Sums, readings: list[Reading], *, running: bool) -> Pace:
    """Return the pace; returned money reduces the use. A period that is over is not used up."""
    days = min(PACE_DAYS, len(readings))
    recent = readings[-days:]
    used = sum((_sum(sums.get(reading.day, {}), account.uses) for reading in recent), _NONE)
    amount = max(used, _NONE) / days if days >= LEAST_DAYS else _NONE
    last = readings[-1]
    left = ceil(max(last.amount, _NONE) / amount) if amount else FARTHEST_DAYS + 1
    ends = last.day + timedelta(days=left) if running and left <= FARTHEST_DAYS else None
    return Pace(amount, days, ends)


def _ahead(last: Reading, pace: Pace, end: date) -> Reading | None:
    """Return the end of the straight line from today: the chart's end, or where nothing is left."""
    if not pace.amount:
        return None
    to = min(pace.used_up_on, end) if pace.used_up_on else end
    return Reading(to, max(last.amount - pace.amount * (to - last.day).days, _NONE))


def _words(account: Account, readings: list[Reading], pace: Pace, *, running: bool) -> str:
    (first, begun), (last, left) = readings[0], readings[-1]
    money = account.currency
    if first == last:
        told = gettext("Free at the end of {last}: {shown}.").format(
            last=day_words(last), shown=shown(left, money)
        )
    else:
        told = gettext("Free at the end of {first}: {shown}; of {last}: {shown2}.").format(
            first=day_words(first),
            shown=shown(begun, money),
            last=day_words(last),
            shown2=shown(left, money),
        )
    if not running:
        return f"{told} {gettext('The period is over.')}"
    if first == last:
        return gettext(
            "This is its first day; {shown} are free now. The line begins with the second day."
        ).format(shown=shown(left, money))
    if pace.days < LEAST_DAYS:
        return f"{told} {gettext('There are too few days yet to tell a pace.')}"
    if not pace.amount:
        nothing = gettext("Nothing was taken in the last {days} days.").format(days=pace.days)
        return f"{told} {nothing}"
    taken = gettext("{shown} a day were taken over the last {days} days.").format(
        shown=shown(pace.amount, money), days=pace.days
    )
    return f"{told} {taken} {_lasts(account, pace)}"


def _lasts(account: Account, pace: Pace) -> str:
    if pace.used_up_on is None:
        return gettext("At this pace it lasts for more than ten years.")
    if not account.period.has(pace.used_up_on):
        return gettext("At this pace it lasts until its end.")
    return gettext("At this pace it is used up on {used_up_on}.").format(
        used_up_on=day_words(pace.used_up_on)
    )
