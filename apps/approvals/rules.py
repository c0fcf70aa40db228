"""Rules: which signatures a request of a kind and an amount needs. Versions are immutable."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from django.contrib.auth.models import Group
from django.db import connection, transaction

from apps.approvals import kinds
from apps.approvals.kinds import TierRule
from apps.approvals.models import ApprovalRule
from apps.audit.contracts import Actor
from apps.audit.services import entry_record
from apps.canonical import digest
from apps.errors import Conflict, Invalid

MOST_BANDS, MOST_TIERS, MOST_QUORUM = 20, 10, 20
MOST_EXPIRY_HOURS = 24 * 366
_DECIMAL = re.compile(r"\d{1,16}(\.\d{1,2})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_BAND_FIELDS = {"above", "tiers", "reason_required", "expires_hours"}


@dataclass(frozen=True)
class Band:
    """What amounts above `above` need (None: any amount). Without `expires_hours`: for ever."""

    above: Decimal | None
    tiers: tuple[TierRule, ...]
    reason_required: bool = True
    expires_hours: float | None = None


@dataclass(frozen=True)
class Requirement:
    """The rule that applies now and its matching band; `band` None: no signature is needed.

    `rule` is None when the kind's own default tiers stand in for a rule.
    """

    rule: ApprovalRule | None
    band: Band | None


def rule_put(
    *, kind: str, scope: str, currency: str, bands: list[dict[str, Any]], by: Actor | None
) -> ApprovalRule:
    """Make `bands` the active rule of the kind and scope, as a new version; audited.

    Joins the caller's transaction. Equal to the active one: that one is returned, nothing changes.
    Requests that are open keep the tiers they were opened with. Invalid as `rule_validate` says.
    """
    kinds.get(kind)
    _text_check(scope, 80)
    rule_validate(bands, currency=currency)
    with transaction.atomic(), connection.cursor() as cursor:
        # The first version has no row to lock.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"rule:{kind}:{scope}"]
        )
        newest = ApprovalRule.objects.filter(kind=kind, scope=scope).order_by("-version").first()
        active = ApprovalRule.objects.filter(kind=kind, scope=scope, active=True).first()
        if active and active.bands == bands and active.currency == currency:
            return active
        if active:
            active.active = False
            active.save(update_fields=["active", "updated_at"])
        rule = ApprovalRule.objects.create(
            kind=kind,
            scope=scope,
            version=newest.version + 1 if newest else 1,
            currency=currency,
            bands=bands,
        )
        entry_record(
            action="approval.rule_put",
            subject_type="approval_rule",
            subject_id=str(rule.pk),
            by=by,
            body={
                "kind": kind,
                "scope": scope,
                "version": rule.version,
                "currency": currency,
                "bands": bands,
            },
        )
        return rule


def rule_validate(bands: Any, *, currency: str = "") -> None:
    """Invalid unless `bands` can be a rule. Its code says why, its extra `band` where (from 0).

    `bands_invalid` (not a list of objects, too many, an unknown field), `above_invalid` (not a
    decimal string of at most two places), `above_not_increasing` (null may only come first),
    `currency_invalid` (a band by amount needs a currency), `tiers_invalid` (none, or not
    {group, quorum}), `group_unknown`, `quorum_invalid` (1 to 20), `reason_required_invalid`,
    `expires_hours_invalid`. An empty list is a rule: nothing needs a signature.
    """
    parsed = _bands_parse(bands)
    if currency and not _CURRENCY.fullmatch(currency):
        raise Invalid("A currency has three capital letters.", code="currency_invalid")
    if not currency and any(band.above is not None for band in parsed):
        raise Invalid("Bands by amount need a currency.", code="currency_invalid")
    wanted = {tier.group for band in parsed for tier in band.tiers}
    known = set(Group.objects.filter(name__in=wanted).values_list("name", flat=True))
    for index, band in enumerate(parsed):
        for tier in band.tiers:
            if tier.group not in known:
                _refuse(index, "group_unknown", f"there is no group {tier.group!r}")


def requirement(*, kind: str, scope: str, amount: Decimal | None, currency: str) -> Requirement:
    """What the active rule asks for; the rule of the scope goes before the kind's general one.

    Conflict `no_rule` when there is neither a rule nor a default; Invalid `currency_mismatch` or
    `amount_missing` when the rule cannot judge the amount. Never less than the rule asks for.
    """
    rule = (
        ApprovalRule.objects.filter(kind=kind, scope__in={scope, ""}, active=True)
        .order_by("-scope")
        .first()
    )
    known = kinds.get(kind)
    default = Requirement(rule=None, band=Band(above=None, tiers=known.default_tiers))
    if rule is None:
        if not known.default_tiers:
            raise Conflict(f"No rule says who signs requests of the kind {kind!r}.", code="no_rule")
        return default
    try:
        matched = Requirement(rule=rule, band=band_for(rule, amount=amount, currency=currency))
    except Invalid:
        if known.always_signed:
            return default
        raise
    return default if known.always_signed and matched.band is None else matched


def band_for(rule: ApprovalRule, *, amount: Decimal | None, currency: str) -> Band | None:
    """The band with the greatest `above` below the amount; None: no signature."""
    bands = _bands_parse(rule.bands)
    if rule.currency and currency != rule.currency:
        raise Invalid(
            f"The rule {rule} judges amounts in {rule.currency}.", code="currency_mismatch"
        )
    match: Band | None = None
    for band in bands:
        if band.above is None:
            match = band
        elif amount is None:
            raise Invalid(f"The rule {rule} needs an amount.", code="amount_missing")
        elif amount > band.above:
            match = band
    return match


def rule_ref(rule: ApprovalRule | None) -> dict[str, int] | None:
    """How hashes and audit entries name a rule version."""
    return {"id": rule.pk, "version": rule.version} if rule else None


def payload_hash_of(payload: dict[str, Any], *, rule: ApprovalRule | None) -> str:
    """What a signature is bound to: the canonical payload and the rule version, no live facts."""
    return digest({"payload": payload, "rule": rule_ref(rule)})


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
    hours = raw.get("expires_hours")
    if hours is not None and (
        isinstance(hours, bool)
        or not isinstance(hours, int | float)
        or not 0 < hours <= MOST_EXPIRY_HOURS
    ):
        _refuse(index, "expires_hours_invalid", f"expires in up to {MOST_EXPIRY_HOURS} hours")
    return Band(
        above=None if above is None else Decimal(above),
        tiers=tuple(_tier_parse(index, tier) for tier in tiers),
        reason_required=reason_required,
        expires_hours=hours,
    )


def _tier_parse(index: int, raw: Any) -> TierRule:
    if not isinstance(raw, dict) or not {"group"} <= raw.keys() <= {"group", "quorum"}:
        _refuse(index, "tiers_invalid", "has a tier that is not {group, quorum}")
    group, quorum = raw["group"], raw.get("quorum", 1)
    if not isinstance(group, str) or not group or "\x00" in group or len(group) > 150:
        _refuse(index, "group_unknown", "has a tier without the name of a group")
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= MOST_QUORUM:
        _refuse(index, "quorum_invalid", f"has a quorum outside 1 to {MOST_QUORUM}")
    return TierRule(group=group, quorum=quorum)


def _refuse(index: int, code: str, why: str) -> NoReturn:
    raise Invalid(f"Band {index + 1} {why}.", code=code, band=index)


def _text_check(text: str, limit: int) -> None:
    if len(text) > limit or "\x00" in text:
        raise Invalid(f"A scope has at most {limit} characters.", code="scope_invalid")
