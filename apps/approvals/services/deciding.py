"""Decisions. Order: lock, recheck, write, audit, enqueue, broadcast."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.contracts import RequestStatus, Verdict
from apps.approvals.kinds import ApprovalKind
from apps.approvals.models import ApprovalRequest, Delegation, PayloadVersion, Signature
from apps.approvals.reasons import reason_check
from apps.approvals.selectors import (
    Standing,
    current_payload,
    current_tier,
    difference_since,
    standing,
    state_refusal,
)
from apps.approvals.services.clock import clock_tier_begin, clock_tier_tell
from apps.approvals.services.rows import (
    announce,
    person_named,
    record,
    request_lock_for,
    request_settle,
    tried,
    workflow_tell,
)
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.language import filled
from apps.common.language import lazy as _


def request_decide(
    *,
    request_id: UUID | str,
    by: User,
    verdict: str,
    reason: str,
    payload_hash: str,
    via: str,
    as_of: datetime,
    on_behalf_of: User | str | None = None,
    tier: int | None = None,
    reason_code: str = "",
) -> ApprovalRequest:
    """Sign the version of the payload whose hash was seen. One rejection settles the request; an
    approval settles it when it completes the last tier, else the request stays open for the next
    signer.

    `on_behalf_of` (a user or a username): under whose authority; None: the user's own if it can
    sign, else the only one delegated to them that can. `tier`: the number of the tier that the user
    saw signing; None: the current one. `reason_code`: one of the kind's reasons for that verdict; a
    request that it settles has it as `settled_reason_code`. Settling commits together: the request,
    the domain's own rows (`on_settled`), audit and the signal to the waiting workflow. A user signs
    once, an authority counts once. Raises, each audited: NotFound `not_found` (or invisible to the
    user); Conflict `already_decided` (extra decided_by, decided_at, status), `expired`,
    `workflow_closed`, `claimed` (extra claimed_by, claimed_until), `payload_changed` (extra
    payload_hash, the current one, and difference if an older version was seen), `tier_changed`
    (extra tier, the current one); NotAllowed `requester_cannot_sign`, `editor_cannot_sign`,
    `already_signed`, `permission_denied`, `not_in_group`, `no_delegation`; Invalid
    `authority_invalid`, `bad_verdict`, `reason_required`, `reason_code_required`,
    `reason_code_unknown` (both with extra reason_codes, those to choose from), `reason_too_long`,
    `invalid_text`, `invisible_characters`, `as_of_in_future`.
    """
    with tried("approval.decide", request_id, by=by, via=via), transaction.atomic(durable=True):
        request = decision_sign(
            request_id=request_id,
            by=by,
            verdict=verdict,
            reason=reason,
            payload_hash=payload_hash,
            via=via,
            as_of=as_of,
            on_behalf_of=on_behalf_of,
            tier=tier,
            reason_code=reason_code,
        )
        failpoint("request_decide.uncommitted")
    failpoint("request_decide.committed")
    return request


def decision_sign(
    *,
    request_id: UUID | str,
    by: User,
    verdict: str,
    reason: str,
    payload_hash: str,
    via: str,
    as_of: datetime,
    on_behalf_of: User | str | None = None,
    tier: int | None = None,
    reason_code: str = "",
) -> ApprovalRequest:
    """As `request_decide`, in the caller's transaction; the caller audits refusals.

    Decide one request per transaction: it locks subject, request and delegation, in this order.
    """
    if verdict not in set(Verdict):
        raise Invalid(_("The verdict is approve or reject."), code="bad_verdict")
    reason = validation.reason_of(reason)
    validation.not_in_future(as_of)
    request, kind = request_lock_for(by, request_id)
    if refusal := state_refusal(request, as_of=as_of):
        raise refusal
    payload_check(request, payload_hash)
    authority = person_named(on_behalf_of, code="authority_invalid")
    under = standing(request, by, on_behalf_of=authority, as_of=as_of)
    if under.delegation is not None:
        _delegation_lock(under.delegation, request, as_of=as_of)
    # Check the tier last: a form submitted twice gets `already_signed` instead.
    _tier_check(request, tier)
    reason_code = reason_check(
        kind,
        Verdict(verdict),
        code=reason_code,
        reason=reason,
        text_required=request.reason_required,
    )
    return _sign(
        request,
        kind,
        current_payload(request),
        under,
        by=by,
        verdict=Verdict(verdict),
        reason=reason,
        reason_code=reason_code,
        via=via,
        as_of=as_of,
    )


def payload_check(request: ApprovalRequest, seen: str) -> None:
    """Raise Conflict `payload_changed` unless `seen` is the current payload's hash; extra
    payload_hash and, when an older version was seen, the difference."""
    payload = current_payload(request)
    if seen == payload.hash:
        return
    changed = difference_since(request, seen)
    raise Conflict(
        _("What is asked has changed since you opened it."),
        code="payload_changed",
        payload_hash=payload.hash,
        **({} if changed is None else {"difference": changed}),
    )


def _tier_check(request: ApprovalRequest, seen: int | None) -> None:
    """Raise Conflict `tier_changed` if another tier signs now: a signature means something else
    there, such as being the last one."""
    now = current_tier(request)
    if seen is not None and now is not None and seen != now.number:
        raise Conflict(
            filled(
                _("You read it at tier {seen}; tier {number} of {of} signs now: {group}."),
                seen=seen,
                number=now.number,
                of=now.of,
                group=now.group,
            ),
            code="tier_changed",
            tier=now.number,
        )


def _delegation_lock(delegation: Delegation, request: ApprovalRequest, *, as_of: datetime) -> None:
    """Lock the delegation and recheck it, so that a concurrent revocation comes before or after."""
    locked = Delegation.objects.select_for_update(no_key=True).get(pk=delegation.pk)
    if not locked.covers(
        kind=request.kind, amount=request.amount, currency=request.currency, as_of=as_of
    ):
        raise NotAllowed(_("The delegation has been revoked."), code="no_delegation")


def _sign(
    request: ApprovalRequest,
    kind: ApprovalKind,
    payload: PayloadVersion,
    under: Standing,
    *,
    by: User,
    verdict: Verdict,
    reason: str,
    reason_code: str,
    via: str,
    as_of: datetime,
) -> ApprovalRequest:
    tier = current_tier(request)
    assert tier is not None  # an open request has one
    signature = Signature.objects.create(
        request=request,
        payload=payload,
        tier=tier.number,
        actor=by,
        authority=under.authority,
        delegation=under.delegation,
        verdict=verdict.value,
        reason=reason,
        reason_code=reason_code,
        via=via,
        at=as_of,
    )
    why: dict[str, Any] = {"reason": reason, "reason_code": reason_code}
    complete = tier.missing <= 1
    if verdict is Verdict.REJECT:
        event = request_settle(request, RequestStatus.REJECTED, by=by, as_of=as_of, **why)
    elif complete and tier.number == tier.of:
        event = request_settle(request, RequestStatus.APPROVED, by=by, as_of=as_of, **why)
    else:
        event = "signed"
        _go_on(request, complete=complete, as_of=as_of)
    _signature_put(request, signature)
    if request.status != RequestStatus.OPEN:
        kind.on_settled(request=request, by=by, via=via, as_of=as_of)
    record(
        request,
        event,
        by=by,
        via=via,
        body={
            "verdict": verdict,
            "reason": reason,
            **_coded(signature),
            "tier": tier.number,
            "authority": under.authority.audit_id,
            "delegation": under.delegation.pk if under.delegation else None,
            "payload_number": payload.number,
            "payload_hash": payload.hash,
        },
    )
    if request.status != RequestStatus.OPEN:
        workflow_tell(request, kind, event="settled")
    announce(request)
    return request


def _coded(signature: Signature) -> dict[str, str]:
    """Return the code and its current label, for the audit entry."""
    if not signature.reason_code:
        return {}
    return {"reason_code": signature.reason_code, "reason_label": signature.reason_label}


def _signature_put(request: ApprovalRequest, signature: Signature) -> None:
    """Add the signature to the prefetched ones, in order. The lock excludes other signatures, so
    reading them again is unnecessary."""
    known = request.signatures.all()
    assert known._result_cache is not None  # prefetched: else this would be a copy
    known._result_cache = sorted([*known, signature], key=lambda one: (one.at, one.pk))


def _go_on(request: ApprovalRequest, *, complete: bool, as_of: datetime) -> None:
    """Keep the request open for the next signature, of this tier or of the next one. The next tier
    starts without escalation and with its own reminders. The signer's claim ends."""
    if complete:
        following = request.tiers[request.tier_number]
        request.tier_number += 1
        request.tier_group = following["group"]
        request.escalated_group = ""
        request.escalated_to = None
        request.escalated_at = None
        clock_tier_begin(request, as_of=as_of)
    request.claimed_by = None
    request.claimed_until = None
    request.version += 1
    request.save(
        update_fields=[
            "tier_number",
            "tier_group",
            "escalated_group",
            "escalated_to",
            "escalated_at",
            "clock",
            "claimed_by",
            "claimed_until",
            "version",
        ]
    )
    if complete:
        clock_tier_tell(request)
