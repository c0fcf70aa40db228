"""Rules: the signatures that a request of a kind and an amount needs. Versions are immutable."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group
from django.db import transaction

from apps.accounts.models import User
from apps.approvals import kinds
from apps.approvals.bands import MOST_TIERS as MOST_TIERS
from apps.approvals.bands import Band as Band
from apps.approvals.bands import bands_parse, refuse
from apps.approvals.models import ApprovalRequest, ApprovalRule
from apps.audit.contracts import Actor
from apps.audit.services import entry_record
from apps.common.canonical_json import canonical_json
from apps.common.errors import Conflict, Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import places
from apps.common.validation import amount_form, kept
from apps.common.versions import put_version

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


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
        raise Invalid(
            filled(_("The rules of {judge!r} judge this kind."), judge=judge),
            code="judged_by_another_kind",
        )
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
    parsed = bands_parse(bands)
    if currency and not _CURRENCY.fullmatch(currency):
        raise Invalid(_("A currency has three capital letters."), code="currency_invalid")
    if not currency and any(band.above is not None for band in parsed):
        raise Invalid(_("Bands by amount need a currency."), code="currency_invalid")
    for index, band in enumerate(parsed):
        if band.above is not None and kept(band.above, places(currency)) is None:
            refuse(
                index,
                "above_invalid",
                _('has an "above" not written {form}'),
                form=amount_form(currency),
            )
    groups_by_band = [_groups_of(band) for band in parsed]
    known = set(
        Group.objects.filter(name__in=set().union(*groups_by_band)).values_list("name", flat=True)
    )
    for index, names in enumerate(groups_by_band):
        if unknown := sorted(names - known):
            refuse(index, "group_unknown", _("there is no group {name!r}"), name=unknown[0])


def requirement(
    *,
    kind: str,
    scope: str,
    amount: Decimal | None,
    currency: str,
    requested_by: User | None = None,
    tiers: tuple[kinds.TierRule, ...] = (),
) -> Requirement:
    """Return what the active rule asks for; the scope's rule precedes the kind's general one.

    `tiers` of this request apply in place of the kind's default. A rule version never frees its own
    author: where it asks nothing of them, the kind's default
    tiers apply. Raises Conflict `no_rule` when there is neither a rule nor a default, `own_rule`
    when the author has no default to fall back on; Invalid `currency_mismatch` or `amount_missing`
    when the rule cannot judge the amount. Never less than the rule asks for.
    """
    rule = rule_for(kind=kind, scope=scope)
    known = kinds.get(kind)
    default = tiers or known.default_tiers
    if rule is None:
        if not default:
            raise Conflict(
                filled(_("No rule says who signs requests of the kind {kind!r}."), kind=kind),
                code="no_rule",
            )
        return _default(default)
    try:
        index = band_index(rule, amount=amount, currency=currency)
    except Invalid:
        if known.always_signed:
            return _default(default)
        raise
    if index is not None:
        return Requirement(rule=rule, band=bands_parse(rule.bands)[index], raw=rule.bands[index])
    own = requested_by is not None and rule.put_by_id == requested_by.pk
    if own and not default:
        raise Conflict(
            filled(
                _(
                    "The rule {rule} asks for no signature, and who asks wrote it: somebody "
                    "else has to put a rule first."
                ),
                rule=rule,
            ),
            code="own_rule",
        )
    return _default(default) if own or known.always_signed else Requirement(rule=rule, band=None)


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
    return Requirement(rule=rule, band=bands_parse(rule.bands)[index], raw=rule.bands[index])


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
    bands = bands_parse(rule.bands)
    if rule.currency and currency != rule.currency:
        raise Invalid(
            filled(
                _("The rule {rule} judges amounts in {currency}."),
                rule=rule,
                currency=rule.currency,
            ),
            code="currency_mismatch",
        )
    match: int | None = None
    for index, band in enumerate(bands):
        if band.above is None:
            match = index
        elif amount is None:
            raise Invalid(
                filled(_("The rule {rule} needs an amount."), rule=rule), code="amount_missing"
            )
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


def _default(default: tuple[kinds.TierRule, ...]) -> Requirement:
    tiers = [{"group": tier.group, "quorum": tier.quorum} for tier in default]
    return Requirement(
        rule=None,
        band=Band(above=None, tiers=default),
        raw={"above": None, "tiers": tiers},
    )


def _groups_of(band: Band) -> set[str]:
    names = {tier.group for tier in band.tiers}
    return names | {band.escalation.group} if band.escalation and band.escalation.group else names


def _text_check(text: str, limit: int) -> None:
    if len(text) > limit or "\x00" in text:
        raise Invalid(
            filled(_("A scope has at most {limit} characters."), limit=limit), code="scope_invalid"
        )
