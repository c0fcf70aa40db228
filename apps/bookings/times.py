"""Times of a trip's stops, from its service day and the clock of its route. Pure functions.

As in GTFS, a clock time counts from noon minus twelve hours of the service day, in the route's
zone: that is midnight, except on the days on which the clocks change. So `26:15` is a quarter past
two of the next day, and the times of a trip rise, whatever the clocks do meanwhile.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

CLOCK = re.compile(r"(\d{2}):([0-5]\d)", re.ASCII)
#: A trip does not take longer than this.
MOST_HOURS = 72
_YEARS = range(2000, 2201)


class Clocks(NamedTuple):
    """When a trip is at a stop, as `HH:MM` of its service day, which may pass 24:00."""

    arrives: str
    departs: str


class Times(NamedTuple):
    """When a trip is at a stop, in UTC."""

    arrives: datetime
    departs: datetime


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone. Raises Invalid `zone_invalid`."""
    try:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_+/-]{1,60}", name, re.ASCII):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(_("A time zone is written like Africa/Lagos."), code="zone_invalid") from None


def offset_of(clock: str) -> timedelta:
    """Return the time since the service day began. Raises Invalid `time_invalid`."""
    found = CLOCK.fullmatch(clock) if isinstance(clock, str) else None
    if found is None or int(found[1]) >= MOST_HOURS:
        raise Invalid(
            filled(
                _(
                    "A time is written HH:MM, below {most_hours}:00; after midnight it goes on "
                    "with 24:00."
                ),
                most_hours=MOST_HOURS,
            ),
            code="time_invalid",
        )
    return timedelta(hours=int(found[1]), minutes=int(found[2]))


def day_begins(day: date, zone: str) -> datetime:
    """Return the time, in UTC, from which the clock times of a service day count. Raises Invalid
    `zone_invalid`, `day_invalid` before 2000 or after 2200."""
    if day.year not in _YEARS:
        raise Invalid(
            filled(
                _("Days lie in the years {years} to {years2}."), years=_YEARS[0], years2=_YEARS[-1]
            ),
            code="day_invalid",
        )
    noon = datetime.combine(day, time(12), tzinfo=zone_of(zone))
    return noon.astimezone(UTC) - timedelta(hours=12)


def time_at(day: date, clock: str, zone: str) -> datetime:
    """Return the time in UTC of a clock time of a service day. Raises Invalid `time_invalid`,
    `zone_invalid`, `day_invalid`."""
    return day_begins(day, zone) + offset_of(clock)


def times_of(day: date, clocks: Sequence[Clocks], zone: str) -> list[Times]:
    """Return the times in UTC of a trip's stops. Raises Invalid `time_invalid`, `zone_invalid`,
    `day_invalid`, and `times_out_of_order` unless they rise from stop to stop."""
    begins = day_begins(day, zone)
    found = [
        Times(begins + offset_of(clock.arrives), begins + offset_of(clock.departs))
        for clock in clocks
    ]
    check_rising(found)
    return found


def check_rising(times: Sequence[Times]) -> None:
    """Raise Invalid `times_out_of_order` (extra stop, its place) unless the trip leaves each stop
    after it arrives there, and arrives at each after it left the one before."""
    before: datetime | None = None
    for n, stop in enumerate(times, start=1):
        if stop.departs < stop.arrives or (before is not None and stop.arrives <= before):
            raise Invalid(
                filled(_("The times do not rise at stop {n}."), n=n),
                code="times_out_of_order",
                stop=n,
            )
        before = stop.departs
