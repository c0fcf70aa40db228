"""Working time: when a number of working hours has passed. Pure, except for the settings' calendar.

Hours are local times in WORKING_TIME_ZONE. A window that ends before it begins runs over midnight
and belongs to the day on which it begins. A window in which the clocks change has its real length:
an hour more, or less.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

#: The search's limit: a year of working hours ends within it even at one hour on one day a week.
MOST_DAYS = 366 * 250
LEAST_DAY = timedelta(hours=1)
DAY = timedelta(days=1)
MOST_WINDOWS = 12
_DAYS = re.compile(r"[1-7](-[1-7])?(,[1-7](-[1-7])?)*", re.ASCII)
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)


@dataclass(frozen=True)
class WorkingTime:
    """A calendar. `weekdays` as in ISO 8601 (1 is Monday). `windows` are openings and closings as
    offsets from local midnight, sorted and disjoint; the last closes within a day of the first
    opening."""

    weekdays: frozenset[int]
    windows: tuple[tuple[timedelta, timedelta], ...]
    zone: ZoneInfo
    countries: tuple[str, ...] = ()

    def is_working_day(self, day: date) -> bool:
        return day.isoweekday() in self.weekdays and not any(
            day in _holidays(country, day.year) for country in self.countries
        )

    def spans(self, day: date) -> list[tuple[datetime, datetime]]:
        """Return begin and end of the day's windows, in UTC, sorted."""
        return [(self._at(day, opens), self._at(day, closes)) for opens, closes in self.windows]

    def after(self, start: datetime, hours: float) -> datetime:
        """Return the time, in UTC, by which `hours` of working time have passed since `start`."""
        left = timedelta(hours=hours)
        # Start with the day before: its window may run over midnight.
        day = start.astimezone(self.zone).date() - timedelta(days=1)
        # When the clocks skip the hour between two windows, the windows overlap: count no hour
        # twice.
        counted = start.astimezone(UTC)
        for _ in range(MOST_DAYS):
            if self.is_working_day(day):
                for opens, closes in self.spans(day):
                    begin = max(counted, opens)
                    if begin <= closes and left <= closes - begin:
                        return begin + left
                    left -= max(closes - begin, timedelta(0))
                    counted = max(counted, closes)
            day += timedelta(days=1)
        raise ImproperlyConfigured("the working time has no working days")

    def _at(self, day: date, since_midnight: timedelta) -> datetime:
        # Adding to an aware datetime moves the local clock, which is what opening hours mean.
        midnight = datetime.combine(day, time(), tzinfo=self.zone)
        return (midnight + since_midnight).astimezone(UTC)


def working_after(start: datetime, hours: float) -> datetime:
    """Return the time, in UTC, by which `hours` of the settings' working time have passed.

    No working time passes at night, on days outside WORKING_DAYS, or on public holidays of the
    countries in WORKING_HOLIDAYS. Hours that end with the working day are due at its end.
    """
    return configured().after(start, hours)


def configured() -> WorkingTime:
    """Return the settings' calendar. ImproperlyConfigured names the invalid variable."""
    return _parse(
        settings.WORKING_DAYS,
        settings.WORKING_HOURS,
        settings.WORKING_TIME_ZONE,
        tuple(settings.WORKING_HOLIDAYS),
    )


@lru_cache(maxsize=16)
def _parse(days: str, hours: str, zone: str, countries: tuple[str, ...]) -> WorkingTime:
    for country in countries:
        _holidays(country, 2000)
    return WorkingTime(
        weekdays=_days_of(days),
        windows=_windows_of(hours),
        zone=_zone_of(zone),
        countries=countries,
    )


def _days_of(text: str) -> frozenset[int]:
    text = text.replace(" ", "")
    found: set[int] = set()
    if _DAYS.fullmatch(text):
        for part in text.split(","):
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    if not found:
        raise _bad("WORKING_DAYS", text, "weekdays such as 1-5 or 1-4,6 (1 is Monday)")
    return frozenset(found)


def _windows_of(text: str) -> tuple[tuple[timedelta, timedelta], ...]:
    parts = [_window_of(part.strip(), text) for part in text.split(",")]
    windows = sorted(parts)
    # The last window may run over midnight, until the first one of the next day opens.
    ends = [*(opens for opens, _ in windows[1:]), windows[0][0] + DAY]
    if any(closes > end for (_, closes), end in zip(windows, ends, strict=True)):
        raise _bad("WORKING_HOURS", text, "windows that do not overlap")
    total = sum((closes - opens for opens, closes in windows), timedelta(0))
    if total < LEAST_DAY or len(windows) > MOST_WINDOWS:
        raise _bad("WORKING_HOURS", text, f"an hour at least, in at most {MOST_WINDOWS} windows")
    return tuple(windows)


def _window_of(part: str, text: str) -> tuple[timedelta, timedelta]:
    expected = "windows such as 09:00-17:00, 09:00-12:00,13:00-17:00 or 22:00-06:00"
    if not (match := _HOURS.fullmatch(part)):
        raise _bad("WORKING_HOURS", text, expected)
    h1, m1, h2, m2 = map(int, match.groups())
    opens, closes = timedelta(hours=h1, minutes=m1), timedelta(hours=h2, minutes=m2)
    if max(m1, m2) > 59 or opens >= DAY or closes > DAY or opens == closes:
        raise _bad("WORKING_HOURS", text, expected)
    return opens, closes if closes > opens else closes + DAY


def _zone_of(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _bad("WORKING_TIME_ZONE", text, "a zone such as Africa/Lagos") from None


@lru_cache(maxsize=512)
def _holidays(country: str, year: int) -> frozenset[date]:
    """Return the country's public holidays of a year; `country` may have an ISO 3166-2 subdivision.

    Asks for one year at a time: the library's shared object is not safe to fill while others read
    it.
    """
    # The import takes nearly half a second: do it only where it is needed.
    import holidays

    name, _, part = country.partition("-")
    try:
        return frozenset(holidays.country_holidays(name, subdiv=part or None, years=[year]))
    except NotImplementedError:
        raise _bad("WORKING_HOLIDAYS", country, "ISO countries such as NG,BR") from None


def _bad(variable: str, value: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{variable} must be {expected}, not {value!r}")
