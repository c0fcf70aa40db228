"""Durations in words."""

from django.utils.translation import gettext, ngettext

from apps.common.lists_in_words import all_of


def _days(count: int) -> str:
    return ngettext("{count} day", "{count} days", count)


def _hours(count: int) -> str:
    return ngettext("{count} hour", "{count} hours", count)


def _minutes(count: int) -> str:
    return ngettext("{count} minute", "{count} minutes", count)


def _seconds(count: int) -> str:
    return ngettext("{count} second", "{count} seconds", count)


_UNITS = ((86_400, _days), (3_600, _hours), (60, _minutes), (1, _seconds))


def duration_in_words(seconds: float) -> str:
    """Return a duration such as `14 days`, `1 day and 12 hours`, `1 minute and 30 seconds`.

    Rounds to the second and uses at most two adjacent units: after days, seconds do not matter.
    """
    left = max(round(seconds), 0)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(unit(count).format(count=count))
        elif parts:
            break
        if len(parts) == 2:
            break
    return all_of(parts) or gettext("0 seconds")
