"""Every write to requests. Order: lock, recheck, write, audit, enqueue, broadcast."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals import inputs, kinds
from apps.approvals.contracts import SUBJECT_TYPE, RequestStatus, Verdict
from apps.approvals.inputs import REASON_LIMIT
from apps.approvals.kinds import ApprovalKind
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature
from apps.approvals.rules import (
    Band,
    payload_hash_of,
    requirement,
    rule_put,
    rule_ref,
    rule_validate,
)
from apps.approvals.selectors import (
    current_payload,
    current_tier,
    person_refusal,
    state_refusal,
)
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import entry_record, refusals
from apps.engine import services as engine
from apps.errors import Conflict, Invalid, NotFound
from apps.live.broadcast import broadcast

__all__ = [
    "REASON_LIMIT",
    "request_cancel",
    "request_decide",
    "request_expire",
    "request_open",
    "rule_put",
    "rule_validate",
    "signature_needed",
    "workflow_closed",
]

#: Clocks of two of our machines may differ by this much; more is somebody playing with time.
CLOCK_SKEW = timedelta(seconds=5)
#: A timer may fire a rounding error before its time.
TIMER_SKEW = timedelta(seconds=1)


def request_open(
    *,
    key: str,
    kind: str,
    scope: str,
    title: str,
    subject_type: str,
    subject_id: str,
    workflow_id: str,
    requested_by: User | None,
    amount: Decimal | None,
    currency: str,
    payload: dict[str, Any],
    as_of: datetime,
) -> ApprovalRequest | None:
    """Ask for the signatures that the active rule wants; None (audited) when it wants none.

    Joins the caller's transaction. The same `key` again returns the same request, whatever the
    rule says by then; Conflict `key_reused` if it was opened for something else. The tiers, the
    payload and the rule version are kept as they are now: later changes do not reach them.
    `payload` holds text, whole numbers, decimals, dates, lists and objects; Invalid
    `payload_invalid` else. Refusals of the rule as `rules.requirement` raises them.
    """
    known = kinds.get(kind)
    payload = inputs.payload_of(payload)
    amount = inputs.amount_of(amount)
    title = inputs.text_of(title, code="title_invalid")[:200]
    if found := ApprovalRequest.objects.filter(key=key).first():
        return _same(found, kind=kind, subject_type=subject_type, subject_id=subject_id)
    needed = requirement(kind=kind, scope=scope, amount=amount, currency=currency)
    if needed.band is None:
        entry_record(
            action="approval.not_needed",
            subject_type=subject_type,
            subject_id=subject_id,
            by=requested_by or ENGINE,
            body={"key": key, "kind": kind, "scope": scope, "rule": rule_ref(needed.rule)},
        )
        return None
    band: Band = needed.band
    tiers: list[dict[str, Any]] = [{"group": t.group, "quorum": t.quorum} for t in band.tiers]
    # get_or_create: two callers at once both pass the look-up above.
    request, created = ApprovalRequest.objects.get_or_create(
        key=key,
        defaults={
            "kind": known.name,
            "title": title,
            "subject_type": subject_type,
            "subject_id": subject_id,
            "workflow_id": workflow_id,
            "requested_by": requested_by,
            "amount": amount,
            "currency": currency,
            "rule": needed.rule,
            "tiers": tiers,
            "tier_number": 1,
            "tier_group": tiers[0]["group"],
            "reason_required": band.reason_required,
            "created_at": as_of,
            "expires_at": as_of + timedelta(hours=band.expires_hours)
            if band.expires_hours
            else None,
        },
    )
    if not created:
        return _same(request, kind=kind, subject_type=subject_type, subject_id=subject_id)
    version = PayloadVersion.objects.create(
        request=request,
        number=1,
        payload=payload,
        hash=payload_hash_of(payload, rule=needed.rule),
        created_at=as_of,
    )
    _record(
        request,
        "opened",
        by=requested_by or ENGINE,
        body={"rule": rule_ref(needed.rule), "tiers": tiers, "payload_hash": version.hash},
    )
    _announce(request)
    return request


def signature_needed(*, kind: str, scope: str, amount: Decimal | None, currency: str) -> bool:
    """Whether the active rule wants a signature. Without any rule: yes, nothing passes unseen."""
    try:
        exact = inputs.amount_of(amount)
        return requirement(kind=kind, scope=scope, amount=exact, currency=currency).band is not None
    except Conflict:
        return True


def request_decide(
    *,
    request_id: UUID | str,
    by: User,
    verdict: str,
    reason: str,
    payload_hash: str,
    via: str,
    as_of: datetime,
) -> ApprovalRequest:
    """Sign the version of the payload whose hash was seen. One rejection settles the request; an
    approval settles it when it completes the last tier, else it stays open for who signs next.

    Settling commits together: the request, the domain's own rows (`on_settled`), audit and the
    signal to the waiting workflow. The same person twice signs once. Raises, each audited:
    NotFound `not_found` (or invisible to the person); Conflict `already_decided` (extra
    decided_by, decided_at, status), `expired`, `workflow_closed`, `payload_changed` (extra
    payload_hash, the current one); NotAllowed `requester_cannot_sign`, `editor_cannot_sign`,
    `already_signed`, `permission_denied`, `not_in_group`; Invalid `bad_verdict`,
    `reason_required`, `reason_too_long`, `invalid_text`, `as_of_in_future`.
    """
    with refusals(
        action="approval.decide",
        subject_type=SUBJECT_TYPE,
        subject_id=inputs.printable(request_id),
        by=by,
        via=via,
    ):
        if verdict not in set(Verdict):
            raise Invalid("The verdict is approve or reject.", code="bad_verdict")
        reason = inputs.reason_of(reason)
        if as_of > timezone.now() + CLOCK_SKEW:
            raise Invalid("A decision cannot lie in the future.", code="as_of_in_future")
        with transaction.atomic(durable=True):
            request, kind = _lock_for(by, request_id)
            if refusal := state_refusal(request, as_of=as_of):
                raise refusal
            payload = current_payload(request)
            if payload_hash != payload.hash:
                raise Conflict(
                    "What is asked has changed since you opened it.",
                    code="payload_changed",
                    payload_hash=payload.hash,
                )
            if refusal := person_refusal(request, by):
                raise refusal
            if request.reason_required and not reason:
                raise Invalid("This decision needs a reason.", code="reason_required")
            return _sign(
                request,
                kind,
                payload,
                by=by,
                verdict=Verdict(verdict),
                reason=reason,
                via=via,
                as_of=as_of,
            )


def request_expire(*, request_id: UUID | str, as_of: datetime) -> ApprovalRequest:
    """The time to sign is over. No-op when it is settled; Conflict `not_due` before its time.

    Joins the caller's transaction, tells no workflow and calls no `on_settled`: the caller is the
    domain, which settles its own row.
    """
    request = _lock(request_id)
    if request.status != RequestStatus.OPEN:
        return request
    if request.expires_at and as_of < request.expires_at - TIMER_SKEW:
        raise Conflict(f"It can be signed until {request.expires_at.isoformat()}.", code="not_due")
    _settle(request, RequestStatus.EXPIRED, by=None, reason="Nobody signed in time.", as_of=as_of)
    _record(request, "expired", by=ENGINE)
    _announce(request)
    return request


def request_cancel(
    *, request_id: UUID | str, by: Actor | None, reason: str, as_of: datetime
) -> ApprovalRequest:
    """Nobody needs the answer any more. No-op when it is settled.

    Joins the caller's transaction, tells no workflow and calls no `on_settled`: the caller is the
    domain, which settles its own row. Whether `by` may cancel is the domain's rule.
    """
    reason = inputs.reason_of(reason)
    request = _lock(request_id)
    if request.status != RequestStatus.OPEN:
        return request
    person = by if isinstance(by, User) else None
    _settle(request, RequestStatus.CANCELLED, by=person, reason=reason, as_of=as_of)
    _record(request, "cancelled", by=by or ENGINE, body={"reason": reason})
    _announce(request)
    return request


def workflow_closed(*, workflow_id: str, reason: str, as_of: datetime) -> list[ApprovalRequest]:
    """Cancel what is still open for a workflow that has ended; returns what was cancelled.

    Joins the caller's transaction; again is a no-op.
    """
    if not workflow_id:
        return []
    waiting = ApprovalRequest.objects.open().filter(workflow_id=workflow_id)
    # Ordered, so that two of these never wait for each other.
    ids = list(waiting.select_for_update().order_by("pk").values_list("pk", flat=True))
    return [request_cancel(request_id=pk, by=ENGINE, reason=reason, as_of=as_of) for pk in ids]


# --- the steps of a decision ---------------------------------------------------------------------
def _lock_for(by: User, request_id: UUID | str) -> tuple[ApprovalRequest, ApprovalKind]:
    """The subject's row, then the request's: the order that the domains' own verbs have."""
    seen = ApprovalRequest.objects.visible_to(by).filter(pk=inputs.uuid_of(request_id)).first()
    if seen is None:
        raise NotFound("There is no such request.")
    kind = kinds.get(seen.kind)
    if kind.lock is not None:
        kind.lock(seen.subject_id)
    return _lock(request_id), kind


def _lock(request_id: UUID | str) -> ApprovalRequest:
    """The locked request with everything a decision looks at.

    Two statements: one with joins would, after a wait, show the new row beside the old one's
    people, and the loser would be told that nobody won.
    """
    pk = inputs.uuid_of(request_id)
    locked = ApprovalRequest.objects.select_for_update().filter(pk=pk).values_list("pk")
    if not locked:
        raise NotFound("There is no such request.")
    return ApprovalRequest.objects.for_detail().get(pk=pk)


def _sign(
    request: ApprovalRequest,
    kind: ApprovalKind,
    payload: PayloadVersion,
    *,
    by: User,
    verdict: Verdict,
    reason: str,
    via: str,
    as_of: datetime,
) -> ApprovalRequest:
    tier = current_tier(request)
    assert tier is not None  # an open request has one
    Signature.objects.create(
        request=request,
        payload=payload,
        tier=tier.number,
        actor=by,
        authority=by,
        verdict=verdict,
        reason=reason,
        via=via,
        at=as_of,
    )
    complete = tier.missing <= 1
    if verdict is Verdict.REJECT:
        event = _settle(request, RequestStatus.REJECTED, by=by, reason=reason, as_of=as_of)
    elif complete and tier.number == tier.of:
        event = _settle(request, RequestStatus.APPROVED, by=by, reason=reason, as_of=as_of)
    else:
        event = "signed"
        if complete:
            request.tier_number = tier.number + 1
            request.tier_group = request.tiers[tier.number]["group"]
        request.version += 1
        request.save(update_fields=["tier_number", "tier_group", "version"])
    # What is prefetched on `request` was read before the signature.
    request = ApprovalRequest.objects.for_detail().get(pk=request.pk)
    if request.status != RequestStatus.OPEN:
        kind.on_settled(request=request, by=by, via=via, as_of=as_of)
    _record(
        request,
        event,
        by=by,
        via=via,
        body={
            "verdict": verdict,
            "reason": reason,
            "tier": tier.number,
            "authority": by.audit_id,
            "payload_number": payload.number,
            "payload_hash": payload.hash,
        },
    )
    if request.status != RequestStatus.OPEN and request.workflow_id and kind.signal:
        engine.workflow_signal(
            key=f"approval:{request.pk}:settled",
            workflow_id=request.workflow_id,
            task_queue=kind.task_queue,
            name=kind.signal,
            subject_type=request.subject_type,
            subject_id=request.subject_id,
        )
    _announce(request)
    return request


def _settle(
    request: ApprovalRequest,
    status: RequestStatus,
    *,
    by: User | None,
    reason: str,
    as_of: datetime,
) -> str:
    request.status = status
    request.settled_at = as_of
    request.settled_by = by
    request.settled_reason = reason
    request.version += 1
    request.save(update_fields=["status", "settled_at", "settled_by", "settled_reason", "version"])
    return status.value


def _record(
    request: ApprovalRequest,
    event: str,
    *,
    by: Actor,
    via: str = "engine",
    body: dict[str, Any] | None = None,
) -> None:
    entry_record(
        action=f"approval.{event}",
        subject_type=SUBJECT_TYPE,
        subject_id=str(request.pk),
        by=by,
        via=via,
        body={
            "title": request.title,
            "subject_type": request.subject_type,
            "subject_id": request.subject_id,
            "version": request.version,
            **(body or {}),
        },
    )


def _announce(request: ApprovalRequest) -> None:
    identifier = str(request.pk)
    for topic in ("inbox", f"request:{identifier}", "home"):
        broadcast(topic, id=identifier, version=request.version)


def _same(
    request: ApprovalRequest, *, kind: str, subject_type: str, subject_id: str
) -> ApprovalRequest:
    if (request.kind, request.subject_type, request.subject_id) != (kind, subject_type, subject_id):
        raise Conflict(f"The key {request.key!r} belongs to another request.", code="key_reused")
    return request
