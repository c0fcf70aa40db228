"""How a budget's money goes: what was free at the end of each day, and when it is used up.

Sums of days come from the database, by an index that has all they need; the days that are over
never change, so they are added up once a day and process.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil

from django.core.cache import cache
from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.common.money import shown
from apps.common.windows import MOST_DAYS, Window, midnight, site_day
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.models.budgets import EFFECTS
from apps.web.charts import LineChart, Reading, line

#: Days that the pace is taken from.
PACE_DAYS = 30
#: Less than that is no pace: the first day of a budget would end it within weeks.
LEAST_DAYS = 3
#: Farther away nobody plans; a tiny pace would lead past the calendar's end.
FARTHEST_DAYS = 3660
CACHE_SECONDS = 26 * 3600

_NONE = Decimal(0)
#: Amounts by day and kind of line.
Sums = dict[date, dict[str, Decimal]]


@dataclass(frozen=True)
class Pace:
    """What was taken on a day, on average of so many days, and the day on which nothing is left
    then, if there is one. Zero while there are too few days to tell."""

    amount: Decimal
    days: int
    used_up_on: date | None


@dataclass(frozen=True)
class BurnDown:
    """The drawing, and the same in words. `used_up_in_time`: when the money is used up, where that
    is one of the budget's days."""

    line: LineChart
    pace: Pace
    words: str
    used_up_in_time: date | None

    @property
    def ahead_words(self) -> str:
        """What the line ahead is drawn by."""
        return f"at the pace of the last {self.pace.days} days"


def burn_down(budget: Budget, *, as_of: datetime) -> BurnDown | None:
    """Of the budget's period up to today, or the last year; None while its ledger is empty,
    before its first day, and when it was over before there was a line."""
    today = site_day(as_of)
    days = _days(budget, today=today)
    if days is None:
        return None
    first, last, end = days
    running = last == today
    sums = _sums(budget, first=first, last=last, today=today)
    free = budget.available if running else budget.available - _changed_after(budget, last)
    readings: list[Reading] = []
    for back in range((last - first).days + 1):
        day = last - timedelta(days=back)
        readings.append(Reading(day, free))
        free -= _free(sums.get(day, {}))
    readings.reverse()
    pace = _pace(sums, readings, running=running)
    used_up = pace.used_up_on
    in_time = used_up is not None and (budget.ends_on is None or used_up <= budget.ends_on)
    return BurnDown(
        line=line(
            readings, ends_on=end, ahead=_ahead(readings[-1], pace, end) if running else None
        ),
        pace=pace,
        words=_words(budget, readings, pace, running=running),
        used_up_in_time=used_up if in_time else None,
    )


def _days(budget: Budget, *, today: date) -> tuple[date, date, date] | None:
    """First and last day with a value, and the end of the drawing."""
    if budget.starts_on is not None and budget.starts_on > today:
        return None
    oldest = BudgetEntry.objects.filter(budget=budget).order_by("at").values_list("at", flat=True)
    began = oldest.first()
    if began is None:
        return None
    if budget.ends_on is not None and budget.ends_on < site_day(began):
        return None
    last = min(today, budget.ends_on) if budget.ends_on else today
    first = min(budget.starts_on or site_day(began), last)
    first = max(first, last - timedelta(days=MOST_DAYS - 1))
    end = budget.ends_on or last + timedelta(days=PACE_DAYS)
    return first, last, min(end, last + timedelta(days=MOST_DAYS))


def _sums(budget: Budget, *, first: date, last: date, today: date) -> Sums:
    """Amounts by day and kind. Yesterday may still get a line from a transaction that runs over
    midnight; the days before are kept."""
    closed = min(last, today - timedelta(days=2))
    key = f"burn-down:{budget.pk}:{first.isoformat()}:{closed.isoformat()}"
    sums: Sums | None = cache.get(key)
    if sums is None:
        sums = _added_up(budget, first, closed)
        cache.set(key, sums, CACHE_SECONDS)
    return {**sums, **_added_up(budget, max(first, closed + timedelta(days=1)), last)}


def _added_up(budget: Budget, first: date, last: date) -> Sums:
    sums: Sums = {}
    if first <= last:
        rows = (
            Window(first, last)
            .of(BudgetEntry.objects.filter(budget=budget), "at")
            .annotate(day=TruncDate("at", tzinfo=timezone.get_default_timezone()))
            .order_by()
            .values_list("day", "kind")
            .annotate(amount=Sum("amount"))
        )
        for day, kind, amount in rows:
            sums.setdefault(day, {})[kind] = amount
    return sums


def _changed_after(budget: Budget, day: date) -> Decimal:
    """How much more is free now than at the end of the day."""
    rows = BudgetEntry.objects.filter(budget=budget, at__gte=midnight(day + timedelta(days=1)))
    return _free(dict(rows.order_by().values_list("kind").annotate(amount=Sum("amount"))))


def _free(amounts: dict[str, Decimal]) -> Decimal:
    """What lines of these kinds add to the free money."""
    return sum((EFFECTS[kind].free * amount for kind, amount in amounts.items()), _NONE)


def _pace(sums: Sums, readings: list[Reading], *, running: bool) -> Pace:
    """What was given back counts against what was taken. A period that is over uses up nothing."""
    days = min(PACE_DAYS, len(readings))
    recent = readings[-days:]
    used = sum(
        (
            EFFECTS[kind].used * amount
            for reading in recent
            for kind, amount in sums.get(reading.day, {}).items()
        ),
        _NONE,
    )
    amount = max(used, _NONE) / days if days >= LEAST_DAYS else _NONE
    last = readings[-1]
    left = ceil(max(last.amount, _NONE) / amount) if amount else FARTHEST_DAYS + 1
    ends = last.day + timedelta(days=left) if running and left <= FARTHEST_DAYS else None
    return Pace(amount, days, ends)


def _ahead(last: Reading, pace: Pace, end: date) -> Reading | None:
    """Where the straight line from today leads: the drawing's end, or where nothing is left."""
    if not pace.amount:
        return None
    to = min(pace.used_up_on, end) if pace.used_up_on else end
    return Reading(to, max(last.amount - pace.amount * (to - last.day).days, _NONE))


def _words(budget: Budget, readings: list[Reading], pace: Pace, *, running: bool) -> str:
    (first, begun), (last, left) = readings[0], readings[-1]
    money = budget.currency
    if first == last:
        told = f"Free at the end of {last:%-d %b %Y}: {shown(left, money)}."
    else:
        told = (
            f"Free at the end of {first:%-d %b %Y}: {shown(begun, money)}; "
            f"of {last:%-d %b %Y}: {shown(left, money)}."
        )
    if not running:
        return f"{told} The period is over."
    if first == last:
        return (
            f"This is its first day; {shown(left, money)} are free now. "
            "The line begins with the second day."
        )
    if pace.days < LEAST_DAYS:
        return f"{told} There are too few days yet to tell a pace."
    over = f"the last {pace.days} days"
    if not pace.amount:
        return f"{told} Nothing was taken in {over}."
    told += f" {shown(pace.amount, money)} a day were taken over {over}."
    if pace.used_up_on is None:
        return f"{told} At this pace it lasts for more than ten years."
    if budget.ends_on is not None and pace.used_up_on > budget.ends_on:
        return f"{told} At this pace it lasts until its end."
    return f"{told} At this pace it is used up on {pace.used_up_on:%-d %b %Y}."
