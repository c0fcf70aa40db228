"""Days and times in words, in the reader's language."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import gettext


def day_words(day: date) -> str:
    """Return a day such as `3 Mar 2026`."""
    return date_format(day, "DATE_FORMAT")


def weekday_words(day: date) -> str:
    """Return a day with its weekday, such as `Tue, 3 Mar 2026`."""
    return gettext("{weekday}, {day}").format(weekday=date_format(day, "D"), day=day_words(day))


def hour_words(at: datetime) -> str:
    """Return the time of day in UTC, such as `09:30 UTC`."""
    return f"{date_format(at.astimezone(UTC), 'TIME_FORMAT')} UTC"


def moment_words(at: datetime) -> str:
    """Return a point in time in UTC, such as `3 Mar 2026, 09:30 UTC`."""
    return f"{date_format(at.astimezone(UTC), 'DATETIME_FORMAT')} UTC"


def zoned_words(at: datetime, zone: ZoneInfo) -> str:
    """Return a point in time in a zone, such as `3 Mar 2026, 09:30 UTC+01:00`. The offset tells two
    times apart that have the same clock time, on the day on which the clocks are put back."""
    local = at.astimezone(zone)
    offset = f"{local:%z}"
    return f"{date_format(local, 'DATETIME_FORMAT')} UTC{offset[:3]}:{offset[3:5]}"
