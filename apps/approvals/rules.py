"""Rules: the signatures that a request of a kind and an amount needs. Versions are immutable."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any, NoReturn

from django.contrib.auth.models import Group
from django.db import transaction

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.kinds import TierRule
from apps.approvals.models import ApprovalRequest, ApprovalRule
from apps.audit.contracts import Actor
from apps.audit.services import entry_record
from apps.common.canonical_json import canonical_json
from apps.common.errors import Conflict, Invalid
from apps.common.money import MOST_PLACES, places
from apps.common.validation import amount_form, kept
from apps.common.versions import put_version

MOST_BANDS, MOST_TIERS, MOST_QUORUM = 20, 10, 20
MOST_REMINDERS = 10
MOST_HOURS = 24 * 366
_DECIMAL = re.compile(rf"\d{{1,16}}(\.\d{{1,{MOST_PLACES}}})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
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


@dataclass(frozen=True)
class Requirement:
    """The rule in force and its matching band; `band` None: no signature is needed.

    `rule` is None when the kind's default tiers replace a rule. `raw` is the band as the rule
    stores it ({} without one) and as `ApprovalRequest.band` keeps it.
    """

    rule: ApprovalRule | None
    band: Band | None
    raw: dict[str, Any] = field(default_factory=dict)


def rule_put(
    *,
    kind: str,
    scope: str,
    currency: str,
    bands: list[dict[str, Any]],
    by: Actor | None,
    via: str = "",
) -> ApprovalRule:
    """Make `bands` the active rule of the kind and scope, as a new version; audited.

    Joins the caller's transaction. Returns the active version unchanged if it is equal. Open
    requests keep their tiers. Raises Invalid as `rule_validate`, and `judged_by_another_kind`.
    """
    if judge := kinds.get(kind).rules_of:
        raise Invalid(f"The rules of {judge!r} judge this kind.", code="judged_by_another_kind")
    _text_check(scope, 80)
    rule_validate(bands, currency=currency)
    key, values = {"kind": kind, "scope": scope}, {"currency": currency, "bands": bands}
    with transaction.atomic():
        rule, new = put_version(
            ApprovalRule.objects.all(), key, values, put_by=by if isinstance(by, User) else None
        )
        if new:
            entry_record(
                action="approval.rule_put",
                subject_type="approval_rule",
                subject_id=str(rule.pk),
                by=by,
                via=via,
                body={**key, "version": rule.version, **values},
            )
    return rule


def rule_validate(bands: Any, *, currency: str = "") -> None:
    """Raise Invalid unless `bands` can be a rule; the extra `band` is the index of the wrong one.

    `bands_invalid` (not a list of objects, too many, an unknown field), `above_invalid` (not a
    decimal string, or finer than the currency), `above_not_increasing` (null may only come first),
    `currency_invalid` (a band by amount needs a currency), `tiers_invalid` (none, or not
    {group, quorum}), `group_unknown`, `quorum_invalid` (1 to 20), `reason_required_invalid`,
    `expires_hours_invalid`, `due_hours_invalid`, `reminder_hours_invalid` (an increasing list of at
    most ten), `escalation_invalid` (hours, and a group and/or the senior). An empty list is a rule:
    nothing needs a signature.
    """
    parsed = _bands_parse(bands)
    if currency and not _CURRENCY.fullmatch(currency):
        raise Invalid("A currency has three capital letters.", code="currency_invalid")
    if not currency and any(band.above is not None for band in parsed):
        raise Invalid("Bands by amount need a currency.", code="currency_invalid")
    for index, band in enumerate(parsed):
        if band.above is not None and kept(band.above, places(currency)) is None:
            _refuse(index, "above_invalid", f'has an "above" not written {amount_form(currency)}')
    groups_by_band = [_groups_of(band) for band in parsed]
    known = set(
        Group.objects.filter(name__in=set().union(*groups_by_band)).values_list("name", flat=True)
    )
    for index, names in enumerate(groups_by_band):
        if unknown := sorted(names - known):
            _refuse(index, "group_unknown", f"there is no group {unknown[0]!r}")


def requirement(
    *,
    kind: str,
    scope: str,
    amount: Decimal | None,
    currency: str,
    requested_by: User | None = None,
) -> Requirement:
    """Return what the active rule asks for; the scope's rule precedes the kind's general one.

    A rule version never frees its own author: where it asks nothing of them, the kind's default
    tiers apply. Raises Conflict `no_rule` when there is neither a rule nor a default, `own_rule`
    when the author has no default to fall back on; Invalid `currency_mismatch` or `amount_missing`
    when the rule cannot judge the amount. Never less than the rule asks for.
    """
    rule = rule_for(kind=kind, scope=scope)
    known = kinds.get(kind)
    if rule is None:
        if not known.default_tiers:
            raise Conflict(f"No rule says who signs requests of the kind {kind!r}.", code="no_rule")
        return _default(known)
    try:
        index = band_index(rule, amount=amount, currency=currency)
    except Invalid:
        if known.always_signed:
            return _default(known)
        raise
    if index is not None:
        return Requirement(rule=rule, band=_bands_parse(rule.bands)[index], raw=rule.bands[index])
    own = requested_by is not None and rule.put_by_id == requested_by.pk
    if own and not known.default_tiers:
        raise Conflict(
            f"The rule {rule} asks for no signature, and who asks wrote it: somebody else has to "
            "put a rule first.",
            code="own_rule",
        )
    return _default(known) if own or known.always_signed else Requirement(rule=rule, band=None)


def requirement_again(
    request: ApprovalRequest, *, amount: Decimal | None, currency: str, editors: Collection[int]
) -> Requirement:
    """Return what an open request needs after its amount is edited; `band` None: no change.

    The active rule decides, except for a version that the requester or one of `editors` put after
    the opening: then the request's own version decides. Where a rule asks for nothing, or there is
    none, the earlier requirement stays, not the kind's default, which may be less. Raises as
    `requirement`.
    """
    stays = Requirement(rule=request.rule, band=None)
    rule = rule_for(kind=request.kind, scope=request.scope)
    interested = {request.requested_by_id, *editors}
    if (
        rule is not None
        and rule.pk != request.rule_id
        and rule.put_by_id in interested - {None}
        and rule.created_at >= request.created_at
    ):
        rule = request.rule
    if rule is None:
        return stays
    try:
        index = band_index(rule, amount=amount, currency=currency)
    except Invalid:
        if kinds.get(request.kind).always_signed:
            return stays
        raise
    if index is None:
        return stays
    return Requirement(rule=rule, band=_bands_parse(rule.bands)[index], raw=rule.bands[index])


def rule_for(*, kind: str, scope: str) -> ApprovalRule | None:
    """Return the active rule of the scope, else the kind's general one, else None."""
    known = kinds.find(kind)
    if known is not None and known.rules_of:
        kind = known.rules_of
    return (
        ApprovalRule.objects.filter(kind=kind, scope__in={scope, ""}, active=True)
        .order_by("-scope")
        .first()
    )


def band_index(rule: ApprovalRule, *, amount: Decimal | None, currency: str) -> int | None:
    """Return the index of the band with the greatest `above` below the amount; None: no signature.

    Raises Invalid `currency_mismatch`, `amount_missing`.
    """
    bands = _bands_parse(rule.bands)
    if rule.currency and currency != rule.currency:
        raise Invalid(
            f"The rule {rule} judges amounts in {rule.currency}.", code="currency_mismatch"
        )
    match: int | None = None
    for index, band in enumerate(bands):
        if band.above is None:
            match = index
        elif amount is None:
            raise Invalid(f"The rule {rule} needs an amount.", code="amount_missing")
        elif amount > band.above:
            match = index
    return match


def rule_ref(rule: ApprovalRule | None) -> dict[str, int] | None:
    """Return the reference to a rule version that hashes and audit entries contain."""
    return {"id": rule.pk, "version": rule.version} if rule else None


def signed_document(payload: dict[str, Any], *, rule: ApprovalRule | None) -> str:
    """Return what a signature is bound to: canonical JSON of payload and rule version, no live
    data."""
    return canonical_json({"payload": payload, "rule": rule_ref(rule)})


def payload_hash_of(payload: dict[str, Any], *, rule: ApprovalRule | None) -> str:
    """Return the SHA-256 in hex of the signed document in UTF-8."""
    return hash_of(signed_document(payload, rule=rule))


def hash_of(document: str) -> str:
    """Return the SHA-256 in hex of a signed document in UTF-8."""
    return hashlib.sha256(document.encode()).hexdigest()


def _bands_parse(bands: Any) -> list[Band]:
    if not isinstance(bands, list) or len(bands) > MOST_BANDS:
        raise Invalid(f"Bands are a list of at most {MOST_BANDS}.", code="bands_invalid")
    parsed: list[Band] = []
    for index, raw in enumerate(bands):
        if not isinstance(raw, dict) or not raw.keys() <= _BAND_FIELDS:
            _refuse(index, "bands_invalid", f"has other fields than {sorted(_BAND_FIELDS)}")
        band = _band_parse(index, raw)
        if index and (
            band.above is None or (parsed[-1].above is not None and band.above <= parsed[-1].above)
        ):
            _refuse(index, "above_not_increasing", "must be above the one before it")
        parsed.append(band)
    return parsed


def _band_parse(index: int, raw: dict[str, Any]) -> Band:
    above = raw.get("above")
    if above is not None and not (isinstance(above, str) and _DECIMAL.fullmatch(above)):
        _refuse(index, "above_invalid", 'has an "above" that is not a decimal string')
    tiers = raw.get("tiers")
    if not isinstance(tiers, list) or not 0 < len(tiers) <= MOST_TIERS:
        _refuse(index, "tiers_invalid", f"needs one to {MOST_TIERS} tiers")
    reason_required = raw.get("reason_required", True)
    if not isinstance(reason_required, bool):
        _refuse(index, "reason_required_invalid", "must say true or false")
    for name in ("expires_hours", "due_hours"):
        if raw.get(name) is not None and not _hours(raw[name]):
            _refuse(index, f"{name}_invalid", f"has {name} that are not 0 to {MOST_HOURS}")
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
        _refuse(
            index,
            "reminder_hours_invalid",
            f"needs its reminders as at most {MOST_REMINDERS} increasing numbers of hours",
        )
    return tuple(raw)


def _escalation_parse(index: int, raw: Any) -> Escalation | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or not {"hours"} <= raw.keys() <= {"hours", "group", "senior"}:
        _refuse(index, "escalation_invalid", "has an escalation that is not {hours, group, senior}")
    group, senior = raw.get("group", ""), raw.get("senior", False)
    if not _hours(raw["hours"]):
        _refuse(index, "escalation_invalid", f"escalates in up to {MOST_HOURS} hours")
    if not isinstance(senior, bool) or not _group_name(group, empty=True):
        _refuse(index, "escalation_invalid", "has a group or a senior that is none")
    if not group and not senior:
        _refuse(index, "escalation_invalid", "escalates to nobody: name a group or the senior")
    return Escalation(hours=raw["hours"], group=group, senior=senior)


def _tier_parse(index: int, raw: Any) -> TierRule:
    if not isinstance(raw, dict) or not {"group"} <= raw.keys() <= {"group", "quorum"}:
        _refuse(index, "tiers_invalid", "has a tier that is not {group, quorum}")
    group, quorum = raw["group"], raw.get("quorum", 1)
    if not _group_name(group):
        _refuse(index, "group_unknown", "has a tier without the name of a group")
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MOST_QUORUM:
        _refuse(index, "quorum_invalid", f"has a quorum outside 1 to {MOST_QUORUM}")
    return TierRule(group=group, quorum=quorum)


def _default(kind: kinds.ApprovalKind) -> Requirement:
    tiers = [{"group": tier.group, "quorum": tier.quorum} for tier in kind.default_tiers]
    return Requirement(
        rule=None,
        band=Band(above=None, tiers=kind.default_tiers),
        raw={"above": None, "tiers": tiers},
    )


def _groups_of(band: Band) -> set[str]:
    names = {tier.group for tier in band.tiers}
    return names | {band.escalation.group} if band.escalation and band.escalation.group else names


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


def _refuse(index: int, code: str, why: str) -> NoReturn:
    raise Invalid(f"Band {index + 1} {why}.", code=code, band=index)


def _text_check(text: str, limit: int) -> None:
    if len(text) > limit or "\x00" in text:
        raise Invalid(f"A scope has at most {limit} characters.", code="scope_invalid")
