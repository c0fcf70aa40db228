"""Describes rules in words, for request pages and for the rule's editor."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.approvals.models import ApprovalRule
from apps.common.durations import duration_in_words
from apps.common.money import shown

NO_BREAK = "\u00a0"
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def band_in_words(raw_band: Mapping[str, Any], currency: str, *, up_to: str | None = None) -> str:
    """Describe a band, e.g. `above NGN 50,000.00: two signatures by reviewer, then one by senior
    reviewer; due within 16 working hours`. `raw_band` as rules and requests store it; `up_to`:
    where the next band begins. {} (no band) gives ""."""
    if not raw_band.get("tiers"):
        return ""
    parts = [_tiers(raw_band["tiers"])]
    if not raw_band.get("reason_required", True):
        parts.append("a reason is optional")
    if due := raw_band.get("due_hours"):
        parts.append(f"due within {_working_hours(due)}")
    if reminders := raw_band.get("reminder_hours"):
        noun = "reminder" if len(reminders) == 1 else "reminders"
        *first, last = (_number(hours) for hours in reminders)
        after = f"{', '.join(first)} and {last}" if first else last
        unit = "working hour" if after == "1" else "working hours"
        parts.append(f"{noun} after {after} {unit}")
    if escalation := raw_band.get("escalation"):
        parts.append(
            f"escalates after {_working_hours(escalation['hours'])} to {_escalates_to(escalation)}"
        )
    if expires := raw_band.get("expires_hours"):
        parts.append(f"expires after {duration_in_words(expires * 3600)}")
    return f"{_range(raw_band.get('above'), up_to, currency)}: {'; '.join(parts)}"


def rule_in_words(rule: ApprovalRule) -> list[str]:
    """Describe the rule, a line per band, lowest amount first, beginning with the amounts that need
    no signature."""
    return bands_in_words(rule.bands, rule.currency)


def bands_in_words(bands: list[dict[str, Any]], currency: str) -> list[str]:
    """As `rule_in_words`, for bands that `rules.rule_validate` accepts."""
    if not bands:
        return ["any amount: no signature"]
    lines = []
    if (lowest := bands[0].get("above")) is not None:
        lines.append(f"up to {_money(lowest, currency)}: no signature")
    limits = [band.get("above") for band in bands[1:]]
    for band, up_to in zip(bands, [*limits, None], strict=True):
        lines.append(band_in_words(band, currency, up_to=up_to))
    return lines


def _range(above: str | None, up_to: str | None, currency: str) -> str:
    end = f"up to {_money(up_to, currency)}" if up_to is not None else ""
    if above is None:
        return end or "any amount"
    return f"above {_money(above, currency)}{', ' if end else ''}{end}"


def _tiers(tiers: list[dict[str, Any]]) -> str:
    lines = []
    for index, tier in enumerate(tiers):
        quorum = tier.get("quorum", 1)
        number = _NUMBERS[quorum] if quorum < len(_NUMBERS) else str(quorum)
        noun = "" if index else " signature" if quorum == 1 else " signatures"
        lines.append(f"{number}{noun} by {tier['group']}")
    return ", then ".join(lines)


def _escalates_to(escalation: Mapping[str, Any]) -> str:
    senior = "the senior of who holds it" if escalation.get("senior") else ""
    return ", else to ".join(filter(None, [senior, escalation.get("group", "")]))


def _working_hours(hours: float) -> str:
    """Say working hours, never days: the length of a working day differs between organisations."""
    return f"{_number(hours)} working hour{'' if hours == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:g}" if value < 1_000_000 else str(value)


def _money(amount: str, currency: str) -> str:
    return shown(Decimal(amount), currency, blank=NO_BREAK)
