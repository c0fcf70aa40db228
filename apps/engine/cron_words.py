"""A cron expression of five fields in words."""

import re

from django.utils.translation import gettext

from apps.common.language import as_written
from apps.common.language import lazy as _

_DAYS = (
    _("Sunday"),
    _("Monday"),
    _("Tuesday"),
    _("Wednesday"),
    _("Thursday"),
    _("Friday"),
    _("Saturday"),
)
_MONTHS = (
    *(
        _("January"),
        _("February"),
        _("March"),
        _("April"),
        _("May"),
        _("June"),
        _("July"),
        _("August"),
        _("September"),
    ),
    *(_("October"), _("November"), _("December")),
)


def cron_words(cron: str, time_zone: str) -> str:
    """Return when the expression is due, such as `Every day at 02:00, UTC`; for a form that has no
    short wording, the expression itself."""
    zone = time_zone.replace("_", " ")
    fields = cron.split()
    if len(fields) != 5:
        return f"{cron}, {zone}"
    minute, hour, day, month, weekday = fields
    every_day = (day, month, weekday) == ("*", "*", "*")
    if every_day and hour == "*":
        return _within_the_hour(minute) or f"{cron}, {zone}"
    if every_day and minute.isdigit() and (step := _step(hour)):
        return gettext("Every {step} hours, at minute {minute}, {zone}").format(
            step=step, minute=int(minute), zone=zone
        )
    days = _on(day, month, weekday)
    if days and minute.isdigit() and hour.isdigit():
        return gettext("{days} at {hour:02}:{minute:02}, {zone}").format(
            days=days, hour=int(hour), minute=int(minute), zone=zone
        )
    return f"{cron}, {zone}"


def _within_the_hour(minute: str) -> str:
    if minute in ("*", "*/1"):
        return gettext("Every minute")
    if step := _step(minute):
        return gettext("Every {step} minutes").format(step=step)
    return (
        gettext("Every hour at minute {minute}").format(minute=int(minute))
        if minute.isdigit()
        else ""
    )


def _on(day: str, month: str, weekday: str) -> str:
    match (day == "*", month == "*", weekday == "*"):
        case (True, True, True):
            return gettext("Every day")
        case (True, True, False):
            return _weekdays(weekday)
        case (False, True, True) if day.isdigit():
            return gettext("On day {day} of every month").format(day=int(day))
        case (False, False, True) if day.isdigit() and (name := _named(month, _MONTHS, first=1)):
            return gettext("Every year on {day} {name}").format(day=int(day), name=name)
    return ""


def _weekdays(text: str) -> str:
    """Return the words of a list of weekdays or of one range; empty for other forms."""
    if re.fullmatch(r"[^,-]+-[^,-]+", text):
        first, last = (_named(part, _DAYS) for part in text.split("-"))
        return (
            gettext("From {first} to {last}").format(first=first, last=last)
            if first and last
            else ""
        )
    names = [_named(part, _DAYS) for part in text.split(",")]
    if not all(names):
        return ""
    return (
        gettext("Every {names}").format(names=names[0])
        if len(names) == 1
        else gettext("On {names}").format(names=", ".join(names))
    )


def _named(text: str, names: tuple[str, ...], *, first: int = 0) -> str:
    """Return the name of a number, or of its first three letters; empty for anything else."""
    if text.isascii() and text.isdigit():
        # Sunday is 0 and 7.
        number = (int(text) - first) % 7 if first == 0 else int(text) - first
        known = 0 <= int(text) - first < len(names) or (first == 0 and text == "7")
        return str(names[number]) if known else ""
    short = text[:3].capitalize()
    # Expressions have English names.
    found = (name for name in names if len(text) == 3 and as_written(name).startswith(short))
    return str(next(found, ""))


def _step(text: str) -> int:
    """Return n of `*/n` above 1, else 0."""
    found = re.fullmatch(r"\*/([1-9][0-9]?)", text, re.ASCII)
    return int(found[1]) if found and found[1] != "1" else 0
