"""Opens requests, and ends those that nobody decided."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.approvals import kinds, validation
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest, PayloadVersion
from apps.approvals.rules import Band, payload_hash_of, requirement, rule_ref
from apps.approvals.services.clock import clock_due, clock_keep, clock_plan
from apps.approvals.services.rows import (
    announce,
    record,
    request_lock,
    request_settle,
    search_text_of,
)
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import entry_record
from apps.common.errors import Conflict
from apps.common.language import filled
from apps.common.language import lazy as _

#: A timer may fire early by a rounding error.
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
    tiers: tuple[kinds.TierRule, ...] = (),
    written_by: User | None = None,
    due_at: datetime | None = None,
    as_of: datetime,
) -> ApprovalRequest | None:
    """Open a request for the signatures that the active rule needs; None (audited) if it needs
    none.

    Joins the caller's transaction. The same `key` returns the same request, even if the rule has
    changed; Conflict `key_reused` if it was opened for something else. The request keeps the tiers,
    the payload and the rule version of its opening. `payload` holds text, whole numbers, decimals,
    dates, lists and objects; Invalid `payload_invalid` otherwise. `tiers` apply in place of the
    kind's default. `written_by`, besides `requested_by`, cannot sign: who wrote what is asked.
    `due_at`: a time that the law sets; the request is due then, or earlier by its rule.
    Raises the rule's refusals as `rules.requirement`.
    """
    known = kinds.get(kind)
    payload = validation.payload_of(payload, most=known.payload_bytes)
    amount = validation.amount_of(amount, currency)
    title = validation.text_of(title, code="title_invalid")[:200]
    if found := ApprovalRequest.objects.filter(key=key).first():
        return _same(found, kind=kind, subject_type=subject_type, subject_id=subject_id)
    needed = requirement(
        kind=kind,
        scope=scope,
        amount=amount,
        currency=currency,
        requested_by=requested_by,
        tiers=tiers,
    )
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
    signed_by: list[dict[str, Any]] = [{"group": t.group, "quorum": t.quorum} for t in band.tiers]
    clock, due = clock_plan(band=needed.raw, opened_at=as_of)
    if due_at is not None:
        clock, due = clock_due(clock, due_at)
    # get_or_create, because two concurrent callers both pass the look-up above.
    request, created = ApprovalRequest.objects.get_or_create(
        key=key,
        defaults={
            "kind": known.name,
            "scope": scope,
            "title": title,
            "subject_type": subject_type,
            "subject_id": subject_id,
            "workflow_id": workflow_id,
            "requested_by": requested_by,
            "amount": amount,
            "currency": currency,
            "rule": needed.rule,
            "tiers": signed_by,
            "band": needed.raw,
            "tier_number": 1,
            "tier_group": signed_by[0]["group"],
            "reason_required": band.reason_required,
            "search_text": search_text_of(title, payload),
            "created_at": as_of,
            "expires_at": as_of + timedelta(hours=band.expires_hours)
            if band.expires_hours and known.expires
            else None,
            "due_at": due,
            "clock": clock,
        },
    )
    if not created:
        return _same(request, kind=kind, subject_type=subject_type, subject_id=subject_id)
    version = PayloadVersion.objects.create(
        request=request,
        number=1,
        payload=payload,
        hash=payload_hash_of(payload, rule=needed.rule),
        edited_by=written_by,
        created_at=as_of,
    )
    record(
        request,
        "opened",
        by=requested_by or ENGINE,
        body={"rule": rule_ref(needed.rule), "tiers": signed_by, "payload_hash": version.hash},
    )
    clock_keep(request)
    announce(request)
    return request


def signature_needed(
    *,
    kind: str,
    scope: str,
    amount: Decimal | None,
    currency: str,
    requested_by: User | None = None,
) -> bool:
    """Return whether the active rule needs a signature. Without a rule: yes, so that nothing passes
    unseen."""
    try:
        exact = validation.amount_of(amount, currency)
        needed = requirement(
            kind=kind, scope=scope, amount=exact, currency=currency, requested_by=requested_by
        )
        return needed.band is not None
    except Conflict:
        return True


def request_expire(*, request_id: UUID | str, as_of: datetime) -> ApprovalRequest:
    """Expire the request. No-op when it is settled; Conflict `not_due` before its time, or without
    an expiry: after an edit the old timer still fires.

    Joins the caller's transaction; signals no workflow and calls no `on_settled`: the caller is the
    domain, which settles its own row.
    """
    request = request_lock(request_id)
    if request.status != RequestStatus.OPEN:
        return request
    if request.expires_at is None:
        raise Conflict(_("It can be signed without an end."), code="not_due")
    if as_of < request.expires_at - TIMER_SKEW:
        raise Conflict(
            filled(_("It can be signed until {expires_at}."), expires_at=request.expires_at),
            code="not_due",
        )
    request_settle(
        request, RequestStatus.EXPIRED, by=None, reason="Nobody signed in time.", as_of=as_of
    )
    record(request, "expired", by=ENGINE)
    announce(request)
    return request


def request_cancel(
    *, request_id: UUID | str, by: Actor | None, reason: str, as_of: datetime
) -> ApprovalRequest:
    """Cancel the request, because its answer is no longer needed. No-op when it is settled.

    Joins the caller's transaction; signals no workflow and calls no `on_settled`: the caller is the
    domain, which settles its own row. The domain decides whether `by` may cancel.
    """
    reason = validation.reason_of(reason)
    request = request_lock(request_id)
    if request.status != RequestStatus.OPEN:
        return request
    person = by if isinstance(by, User) else None
    request_settle(request, RequestStatus.CANCELLED, by=person, reason=reason, as_of=as_of)
    record(request, "cancelled", by=by or ENGINE, body={"reason": reason})
    announce(request)
    return request


def request_carried_by(request: ApprovalRequest, workflow_id: str) -> None:
    """Name the workflow that waits for the answer from now on; empty: none, so that the request can
    be signed although its workflow has ended. Joins the transaction that has locked the subject's
    row; whoever names none starts one after the answer, if one is needed."""
    rows = ApprovalRequest.objects.open().filter(pk=request.pk)
    if rows.exclude(workflow_id=workflow_id).update(workflow_id=workflow_id):
        announce(request)


def _same(
    request: ApprovalRequest, *, kind: str, subject_type: str, subject_id: str
) -> ApprovalRequest:
    if (request.kind, request.subject_type, request.subject_id) != (kind, subject_type, subject_id):
        raise Conflict(
            filled(_("The key {key!r} belongs to another request."), key=request.key),
            code="key_reused",
        )
    return request
