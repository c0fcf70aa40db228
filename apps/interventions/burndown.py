"""How a budget's money goes: what was free at the end of each day, and when it is used up.

Sums of days come from the database, by an index that has all they need; the days that are over
never change, so they are added up once a day and process. What is drawn has at most POINTS points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import ceil

from django.core.cache import cache
from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.common.money import shown
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.services.policy_limits import site_day

POINTS = 60
#: Of the days that are drawn, and of those that the pace is taken from.
MOST_DAYS, PACE_DAYS = 366, 30
#: Less than that is no pace: the first day of a budget would end it within weeks.
LEAST_DAYS = 3
#: Farther away nobody plans; a tiny pace would lead past the calendar's end.
FARTHEST_DAYS = 3660
CACHE_SECONDS = 26 * 3600

WIDTH, HEIGHT = 640, 160

Kind = BudgetEntry.Kind
#: What a line of the kind does to the free money, and whether it is use (not more or less of it).
EFFECT: dict[str, int] = {
    Kind.ALLOCATE: 1,
    Kind.TRANSFER_IN: 1,
    Kind.TRANSFER_OUT: -1,
    Kind.RESERVE: -1,
    Kind.RELEASE: 1,
}
USE: dict[str, int] = {Kind.RESERVE: 1, Kind.RELEASE: -1}


@dataclass(frozen=True)
class Point:
    """A day's end, in money and in the coordinates of the drawing."""

    day: date
    free: Decimal
    x: float
    y: float


@dataclass(frozen=True)
class BurnDown:
    """The drawing, and the same in words. `used_up_on` at the pace of the last days, if at all."""

    points: list[Point]
    starts_on: date
    ends_on: date
    today_x: float
    pace: Decimal
    pace_days: int
    used_up_on: date | None
    in_time: bool
    projection: str
    most: Decimal
    words: str
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def drawable(self) -> bool:
        """Whether there is a line: one day alone would be an empty frame."""
        return len(self.points) > 1

    @property
    def line(self) -> str:
        """The points of an SVG polyline."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)

    @property
    def area(self) -> str:
        """The same down to the axis, for a polygon."""
        if not self.points:
            return ""
        first, last = self.points[0], self.points[-1]
        return f"{first.x:.1f},{HEIGHT} {self.line} {last.x:.1f},{HEIGHT}"


def burn_down(budget: Budget, *, as_of: datetime) -> BurnDown | None:
    """Of the budget's period up to today, or the last year; None while its ledger is empty,
    before its first day, and when it was over before there was a line."""
    today = site_day(as_of)
    days = _days(budget, today=today)
    if days is None:
        return None
    first, last, end = days
    sums = _sums(budget, first=first, last=last, today=today)
    free = _at_the_end(budget, sums, last=last, today=today)
    values: list[tuple[date, Decimal]] = []
    for back in range((last - first).days + 1):
        day = last - timedelta(days=back)
        values.append((day, free))
        free -= sum((EFFECT.get(kind, 0) * much for kind, much in sums.get(day, {}).items()), _NONE)
    values.reverse()
    pace_days = min(PACE_DAYS, (last - first).days + 1)
    pace = _pace(sums, last=last, days=pace_days)
    used_up = _used_up(values[-1][1], pace, last=last) if last == today else None
    return _drawn(
        budget,
        values,
        end=max(end, last),
        pace=pace,
        pace_days=pace_days,
        used_up=used_up,
        running=last == today,
    )


_NONE = Decimal(0)
Sums = dict[date, dict[str, Decimal]]


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
        sums = _added_up(budget, first=first, last=closed)
        cache.set(key, sums, CACHE_SECONDS)
    return {**sums, **_added_up(budget, first=max(first, closed + timedelta(days=1)), last=last)}


def _added_up(budget: Budget, *, first: date, last: date) -> Sums:
    if last < first:
        return {}
    rows = (
        BudgetEntry.objects.filter(budget=budget, at__gte=_midnight(first))
        .filter(at__lt=_midnight(last + timedelta(days=1)))
        .annotate(day=TruncDate("at", tzinfo=timezone.get_default_timezone()))
        .order_by()
        .values_list("day", "kind")
        .annotate(much=Sum("amount"))
    )
    sums: Sums = {}
    for day, kind, much in rows:
        sums.setdefault(day, {})[kind] = much
    return sums


def _at_the_end(budget: Budget, sums: Sums, *, last: date, today: date) -> Decimal:
    """What was free at the end of `last`: what is free now without what has changed since."""
    if last == today:
        return budget.available
    rows = BudgetEntry.objects.filter(budget=budget, at__gte=_midnight(last + timedelta(days=1)))
    later = dict(rows.order_by().values_list("kind").annotate(much=Sum("amount")))
    changed = sum((EFFECT.get(kind, 0) * much for kind, much in later.items()), _NONE)
    return budget.available - changed


def _pace(sums: Sums, *, last: date, days: int) -> Decimal:
    """What was taken on a day, on average; what was given back counts against it. Zero while there
    are too few days to tell."""
    if days < LEAST_DAYS:
        return _NONE
    recent = [sums.get(last - timedelta(days=back), {}) for back in range(days)]
    used = sum(
        (USE.get(kind, 0) * much for day in recent for kind, much in day.items()), start=_NONE
    )
    return max(used, _NONE) / days


def _used_up(free: Decimal, pace: Decimal, *, last: date) -> date | None:
    if pace <= 0:
        return None
    days = ceil(max(free, _NONE) / pace)
    return last + timedelta(days=days) if days <= FARTHEST_DAYS else None


def _drawn(
    budget: Budget,
    values: list[tuple[date, Decimal]],
    *,
    end: date,
    pace: Decimal,
    pace_days: int,
    used_up: date | None,
    running: bool,
) -> BurnDown:
    first = values[0][0]
    span = max((end - first).days, 1)
    most = max(max(value for _, value in values), _NONE)

    def place(day: date, value: Decimal) -> tuple[float, float]:
        high = float(max(value, _NONE) / most) if most else 0.0
        return (day - first).days * WIDTH / span, HEIGHT - high * (HEIGHT - 8)

    step = ceil(len(values) / POINTS)
    # The last day is always one of them.
    chosen = values[::-1][::step][::-1]
    points = [Point(day, value, *place(day, value)) for day, value in chosen]
    return BurnDown(
        points=points,
        starts_on=first,
        ends_on=end,
        today_x=points[-1].x,
        pace=pace,
        pace_days=pace_days,
        used_up_on=used_up,
        in_time=used_up is not None and (budget.ends_on is None or used_up <= budget.ends_on),
        projection=_projected(points[-1], pace, used_up, end=end, place=place) if running else "",
        most=most,
        words=_words(budget, values, pace, pace_days, used_up, running=running),
    )


def _projected(
    point: Point,
    pace: Decimal,
    used_up: date | None,
    *,
    end: date,
    place: Callable[[date, Decimal], tuple[float, float]],
) -> str:
    """The straight line from today to the end of the drawing, or to where nothing is left."""
    if pace <= 0:
        return ""
    to = min(used_up, end) if used_up else end
    left = max(point.free - pace * (to - point.day).days, _NONE)
    x, y = place(to, left)
    return f"{point.x:.1f},{point.y:.1f} {x:.1f},{y:.1f}"


def _words(
    budget: Budget,
    values: list[tuple[date, Decimal]],
    pace: Decimal,
    pace_days: int,
    used_up: date | None,
    *,
    running: bool,
) -> str:
    (first, begun), (last, left) = values[0], values[-1]
    money = budget.currency
    told = (
        f"Free at the end of {first:%-d %b %Y}: {shown(begun, money)}; "
        f"of {last:%-d %b %Y}: {shown(left, money)}."
    )
    if first == last:
        told = f"Free at the end of {last:%-d %b %Y}: {shown(left, money)}."
    if not running:
        return f"{told} The period is over."
    if first == last:
        return (
            f"This is its first day; {shown(left, money)} are free now. "
            "The line begins with the second day."
        )
    if pace_days < LEAST_DAYS:
        return f"{told} There are too few days yet to tell a pace."
    over = f"the last {pace_days} days"
    if pace <= 0:
        return f"{told} Nothing was taken in {over}."
    told += f" {shown(pace, money)} a day were taken over {over}."
    if used_up is None:
        return f"{told} At this pace it lasts for more than ten years."
    if budget.ends_on is not None and used_up > budget.ends_on:
        return f"{told} At this pace it lasts until its end."
    return f"{told} At this pace it is used up on {used_up:%-d %b %Y}."


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=timezone.get_default_timezone())
