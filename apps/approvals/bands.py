"""Bands of a rule, as its document has them: read, or refused with the number of the band."""

import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, NoReturn

from apps.approvals.kinds import TierRule
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import MOST_PLACES

MOST_BANDS, MOST_TIERS, MOST_QUORUM = 20, 10, 20
MOST_REMINDERS = 10
MOST_HOURS = 24 * 366
_DECIMAL = re.compile(rf"\d{{1,16}}(\.\d{{1,{MOST_PLACES}}})?", re.ASCII)
_BAND_FIELDS = {
    "above",
    "tiers",
    "reason_required",
    "expires_hours",
    "due_hours",
    "reminder_hours",
    "escalation",
}


@dataclass(frozen=True)
class Escalation:
    """Who else may sign after that many working hours: a group, the holder's senior, or both."""

    hours: float
    group: str = ""
    senior: bool = False


@dataclass(frozen=True)
class Band:
    """What amounts above `above` need (None: any amount).

    `expires_hours` are clock hours (None: never expires). `due_hours`, `reminder_hours`
    (increasing) and the escalation's hours are working hours after the opening.
    """

    above: Decimal | None
    tiers: tuple[TierRule, ...]
    reason_required: bool = True
    expires_hours: float | None = None
    due_hours: float | None = None
    reminder_hours: tuple[float, ...] = ()
    escalation: Escalation | None = None


def bands_parse(bands: Any) -> list[Band]:
    """Return the bands, lowest first. Raises Invalid, with the band as an extra."""
    if not isinstance(bands, list) or len(bands) > MOST_BANDS:
        raise Invalid(
            filled(_("Bands are a list of at most {most_bands}."), most_bands=MOST_BANDS),
            code="bands_invalid",
        )
    parsed: list[Band] = []
    for index, raw in enumerate(bands):
        if not isinstance(raw, dict) or not raw.keys() <= _BAND_FIELDS:
            refuse(
                index,
                "bands_invalid",
                _("has other fields than {fields}"),
                fields=sorted(_BAND_FIELDS),
            )
        band = _band_parse(index, raw)
        if index and (
            band.above is None or (parsed[-1].above is not None and band.above <= parsed[-1].above)
        ):
            refuse(index, "above_not_increasing", _("must be above the one before it"))
        parsed.append(band)
    return parsed


def _band_parse(index: int, raw: dict[str, Any]) -> Band:
    above = raw.get("above")
    if above is not None and not (isinstance(above, str) and _DECIMAL.fullmatch(above)):
        refuse(index, "above_invalid", _('has an "above" that is not a decimal string'))
    tiers = raw.get("tiers")
    if not isinstance(tiers, list) or not 0 < len(tiers) <= MOST_TIERS:
        refuse(index, "tiers_invalid", _("needs one to {most} tiers"), most=MOST_TIERS)
    reason_required = raw.get("reason_required", True)
    if not isinstance(reason_required, bool):
        refuse(index, "reason_required_invalid", _("must say true or false"))
    for name in ("expires_hours", "due_hours"):
        if raw.get(name) is not None and not _hours(raw[name]):
            refuse(
                index,
                f"{name}_invalid",
                _("has {name} that are not 0 to {most}"),
                name=name,
                most=MOST_HOURS,
            )
    return Band(
        above=None if above is None else Decimal(above),
        tiers=tuple(_tier_parse(index, tier) for tier in tiers),
        reason_required=reason_required,
        expires_hours=raw.get("expires_hours"),
        due_hours=raw.get("due_hours"),
        reminder_hours=_reminders_parse(index, raw.get("reminder_hours")),
        escalation=_escalation_parse(index, raw.get("escalation")),
    )


def _reminders_parse(index: int, raw: Any) -> tuple[float, ...]:
    if raw is None:
        return ()
    if (
        not isinstance(raw, list)
        or len(raw) > MOST_REMINDERS
        or not all(_hours(hours) for hours in raw)
        or any(later <= sooner for sooner, later in pairwise(raw))
    ):
        refuse(
            index,
            "reminder_hours_invalid",
            _("needs its reminders as at most {most} increasing numbers of hours"),
            most=MOST_REMINDERS,
        )
    return tuple(raw)


def _escalation_parse(index: int, raw: Any) -> Escalation | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or not {"hours"} <= raw.keys() <= {"hours", "group", "senior"}:
        refuse(
            index, "escalation_invalid", _("has an escalation that is not {{hours, group, senior}}")
        )
    group, senior = raw.get("group", ""), raw.get("senior", False)
    if not _hours(raw["hours"]):
        refuse(index, "escalation_invalid", _("escalates in up to {most} hours"), most=MOST_HOURS)
    if not isinstance(senior, bool) or not _group_name(group, empty=True):
        refuse(index, "escalation_invalid", _("has a group or a senior that is none"))
    if not group and not senior:
        refuse(index, "escalation_invalid", _("escalates to nobody: name a group or the senior"))
    return Escalation(hours=raw["hours"], group=group, senior=senior)


def _tier_parse(index: int, raw: Any) -> TierRule:
    if not isinstance(raw, dict) or not {"group"} <= raw.keys() <= {"group", "quorum"}:
        refuse(index, "tiers_invalid", _("has a tier that is not {{group, quorum}}"))
    group, quorum = raw["group"], raw.get("quorum", 1)
    if not _group_name(group):
        refuse(index, "group_unknown", _("has a tier without the name of a group"))
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MOST_QUORUM:
        refuse(index, "quorum_invalid", _("has a quorum outside 1 to {most}"), most=MOST_QUORUM)
    return TierRule(group=group, quorum=quorum)


def _hours(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and bool(0 < value <= MOST_HOURS)
    )


def _group_name(value: Any, *, empty: bool = False) -> bool:
    return (
        isinstance(value, str)
        and (empty or bool(value))
        and "\x00" not in value
        and len(value) <= 150
    )


def refuse(index: int, code: str, why: str, **values: object) -> NoReturn:
    """Raise Invalid: band `index` and `why`, a marked text that `values` fill."""
    text = filled(_("Band {number} {why}."), number=index + 1, why=filled(why, **values))
    raise Invalid(text, code=code, band=index)
