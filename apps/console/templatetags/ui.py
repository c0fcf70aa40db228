"""Template tags of the design system: icons, money, times, states, bars."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.money import NO_BREAK
from apps.common.money import shown as money_shown

register = template.Library()

#: State → tone. What is not listed is neutral.
TONES = {
    "open": "info",
    "pending": "info",
    "awaiting_approval": "warn",
    "approved": "good",
    "executing": "info",
    "executed": "good",
    "failed": "bad",
    "rejected": "bad",
    "expired": "warn",
    "cancelled": "",
    "running": "info",
    "done": "good",
    "compensated": "warn",
    "completed": "good",
    "terminated": "bad",
    "timed_out": "bad",
    "parked": "bad",
    "undeliverable": "bad",
    "approve": "good",
    "reject": "bad",
    "refused": "bad",
    "reserve": "warn",
    "commit": "info",
    "release": "good",
    "allocate": "",
    "transfer_out": "warn",
    "transfer_in": "good",
}

#: Where a state's own name is not what people call it.
WORDS = {
    "open": "waiting",
    "awaiting_approval": "waiting for approval",
    "timed_out": "timed out",
    "approve": "approved",
    "reject": "rejected",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of the sprite; decoration only, the words stand beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("console/icons.svg"),
        name,
    )


@register.filter
def money(amount: Decimal | None, currency: str = "") -> str:
    """`NGN 25,000.00`, unbreakable; a dash when there is no amount."""
    return money_shown(amount, currency, blank=NO_BREAK)


@register.filter
def words(state: object) -> str:
    """A state or step as people say it."""
    return WORDS.get(str(state), str(state).replace("_", " "))


@register.filter
def shown(value: object) -> object:
    """A value of a document for people: yes and no, a dash for nothing, lists with commas."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(shown(item)) for item in value) or "–"
    return value


@register.filter
def percent(share: float | None) -> str:
    """A share of one as `97 %`, unbreakable; a dash when there is none."""
    return "–" if share is None else f"{share:.0%}".replace("%", f"{NO_BREAK}%")


@register.filter
def duration(seconds: float | None) -> str:
    """`850 ms`, `12 s`, `3.5 min`, `2 h`, `4 d`, unbreakable; a dash when there is none."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f}{NO_BREAK}ms"
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{round(seconds / size, 1):g}{NO_BREAK}{unit}"
    return f"{round(seconds / 86400, 1):g}{NO_BREAK}d"


@register.simple_tag
def state(value: object) -> SafeString:
    """The state as a badge: word and tone, never colour alone."""
    tone = TONES.get(str(value), "")
    return format_html(
        '<span class="badge{}">{}</span>', f" tone-{tone}" if tone else "", words(value)
    )


@register.filter
def tone(value: object) -> str:
    """The tone's class of a state, or nothing."""
    known = TONES.get(str(value), "")
    return f"tone-{known}" if known else ""


def _utc(at: datetime) -> tuple[str, str]:
    at = at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds"), f"{at:%-d} {at:%b %Y, %H:%M} UTC"


@register.filter
def when(at: datetime | None) -> str | SafeString:
    """A point in time: UTC as served, the reader's zone once the script has run."""
    if at is None:
        return "–"
    return format_html('<time datetime="{}" data-when="point">{}</time>', *_utc(at))


@register.filter
def age(at: datetime | None) -> str | SafeString:
    """The same, told as a distance (`3 min ago`, `in 2 hr`) once the script has run."""
    if at is None:
        return "–"
    return format_html('<time datetime="{}" data-when="age">{}</time>', *_utc(at))


@register.inclusion_tag("console/_budget_bar.html")
def budget_bar(budget: Any) -> dict[str, Any]:
    """Spent, reserved and free as one bar with its figures in words."""
    total = budget.total or Decimal(1)
    spent = _percent(budget.spent, total)
    reserved = _percent(budget.reserved, total)
    return {
        "budget": budget,
        "spent_width": f"{spent:.2f}%",
        "reserved_x": f"{spent:.2f}%",
        "reserved_width": f"{reserved:.2f}%",
    }


def _percent(part: Decimal, whole: Decimal) -> float:
    return float(max(Decimal(0), min(Decimal(100), part * 100 / whole))) if whole > 0 else 0.0
