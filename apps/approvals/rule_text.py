"""Describes rules in words, for request pages and for the rule's editor."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext, ngettext

from apps.approvals.models import ApprovalRule
from apps.common.durations import duration_in_words
from apps.common.language import lazy as _
from apps.common.lists_in_words import all_of, in_turn
from apps.common.money import shown

NO_BREAK = "\u00a0"
_NUMBERS = (
    _("no"),
    _("one"),
    _("two"),
    _("three"),
    _("four"),
    _("five"),
    _("six"),
    _("seven"),
    _("eight"),
    _("nine"),
    _("ten"),
)


def band_in_words(raw_band: Mapping[str, Any], currency: str, *, up_to: str | None = None) -> str:
    """Describe a band, e.g. `above NGN 50,000.00: two signatures by reviewer, then one by senior
    reviewer; due within 16 working hours`. `raw_band` as rules and requests store it; `up_to`:
    where the next band begins. {} (no band) gives ""."""
    if not raw_band.get("tiers"):
        return ""
    parts = [_tiers(raw_band["tiers"])]
    if not raw_band.get("reason_required", True):
        parts.append(gettext("a reason is optional"))
    if due := raw_band.get("due_hours"):
        parts.append(
            gettext("due within {working_hours}").format(working_hours=_working_hours(due))
        )
    if reminders := raw_band.get("reminder_hours"):
        after = all_of(_number(hours) for hours in reminders)
        text = (
            ngettext(
                "reminder after {after} working hour",
                "reminder after {after} working hours",
                1 if after == "1" else 2,
            )
            if len(reminders) == 1
            else gettext("reminders after {after} working hours")
        )
        parts.append(text.format(after=after))
    if escalation := raw_band.get("escalation"):
        parts.append(_escalates(escalation))
    if expires := raw_band.get("expires_hours"):
        parts.append(
            gettext("expires after {duration_in_words}").format(
                duration_in_words=duration_in_words(expires * 3600)
            )
        )
    return f"{_range(raw_band.get('above'), up_to, currency)}: {'; '.join(parts)}"


def rule_in_words(rule: ApprovalRule) -> list[str]:
    """Describe the rule, a line per band, lowest amount first, beginning with the amounts that need
    no signature."""
    return bands_in_words(rule.bands, rule.currency)


def bands_in_words(bands: list[dict[str, Any]], currency: str) -> list[str]:
    """As `rule_in_words`, for bands that `rules.rule_validate` accepts."""
    if not bands:
        return [gettext("any amount: no signature")]
    lines = []
    if (lowest := bands[0].get("above")) is not None:
        lines.append(gettext("up to {money}: no signature").format(money=_money(lowest, currency)))
    limits = [band.get("above") for band in bands[1:]]
    for band, up_to in zip(bands, [*limits, None], strict=True):
        lines.append(band_in_words(band, currency, up_to=up_to))
    return lines


def _range(above: str | None, up_to: str | None, currency: str) -> str:
    if above is None:
        if up_to is None:
            return gettext("any amount")
        return gettext("up to {money}").format(money=_money(up_to, currency))
    if up_to is None:
        return gettext("above {money}").format(money=_money(above, currency))
    return gettext("above {above}, up to {up_to}").format(
        above=_money(above, currency), up_to=_money(up_to, currency)
    )


def _tiers(tiers: list[dict[str, Any]]) -> str:
    lines = []
    for index, tier in enumerate(tiers):
        quorum = tier.get("quorum", 1)
        number = _NUMBERS[quorum] if quorum < len(_NUMBERS) else str(quorum)
        text = (
            gettext("{number} by {group}")
            if index
            else ngettext("{number} signature by {group}", "{number} signatures by {group}", quorum)
        )
        lines.append(text.format(number=number, group=tier["group"]))
    return in_turn(lines)


def _escalates(escalation: Mapping[str, Any]) -> str:
    group = escalation.get("group", "")
    if not escalation.get("senior"):
        text = gettext("escalates after {working_hours} to {group}")
    elif group:
        text = gettext(
            "escalates after {working_hours} to the senior of who holds it, else to {group}"
        )
    else:
        text = gettext("escalates after {working_hours} to the senior of who holds it")
    return text.format(working_hours=_working_hours(escalation["hours"]), group=group)


def _working_hours(hours: float) -> str:
    """Say working hours, never days: the length of a working day differs between organisations."""
    return ngettext(
        "{number} working hour", "{number} working hours", 1 if hours == 1 else 2
    ).format(number=_number(hours))


def _number(value: float) -> str:
    return f"{value:g}" if value < 1_000_000 else str(value)


def _money(amount: str, currency: str) -> str:
    return shown(Decimal(amount), currency, blank=NO_BREAK)
