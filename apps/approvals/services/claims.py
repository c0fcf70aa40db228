"""Claims: take a lease on a request, release it, or reassign it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import validation
from apps.approvals.models import REASSIGN_PERMISSION, ApprovalRequest
from apps.approvals.selectors import (
    authorities,
    claim_refusal,
    holder,
    own_refusal,
    person_refusal,
    state_refusal,
)
from apps.approvals.services.claim_leases import hold_put, used_up
from apps.approvals.services.rows import announce, person_named, record, request_lock_seen, tried
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.notifications.services import notify


def claim_take(*, request_id: UUID | str, by: User, via: str, as_of: datetime) -> ApprovalRequest:
    """Claim the request for CLAIM_SECONDS: nobody else signs it meanwhile. Repeating renews the
    lease.

    The claim ends with the signature, an edit, the end of the request, or the lease. Raises, each
    audited: NotFound; Conflict `claimed` (extra claimed_by, claimed_until) while somebody else
    holds it, `claim_used_up` when the user has held it for eight leases in this tier or has lost it
    to an escalation; and the refusals of deciding, because only who could sign may claim.
    """
    with tried("approval.claim", request_id, by=by, via=via), transaction.atomic(durable=True):
        validation.not_in_future(as_of)
        request = request_lock_seen(by, request_id)
        if refusal := state_refusal(request, as_of=as_of):
            raise refusal
        if not authorities(request, by, as_of=as_of):
            barred = person_refusal(request, by, authority=by, as_of=as_of, claims=False)
            raise claim_refusal(request, by, as_of=as_of) or barred or _nobodys()
        if refusal := used_up(request, by.pk, as_of=as_of):
            raise refusal
        until = as_of + timedelta(seconds=settings.CLAIM_SECONDS)
        if request.claimed_until and holder(request, as_of=as_of) == by:
            # Keep a longer lease that came from an assignment.
            until = max(until, request.claimed_until)
        _hold(request, by, until, as_of=as_of)
        record(request, "claimed", by=by, via=via, body={"until": until.isoformat()})
        announce(request)
        return request


def claim_release(
    *, request_id: UUID | str, by: User, via: str, as_of: datetime, reason: str = ""
) -> ApprovalRequest:
    """Release the claim. No-op when nobody holds it.

    `reason` is audited. Raises, each audited: NotFound; Conflict `claimed` when somebody else holds
    it and the user lacks the permission approvals.reassign_approvalrequest; Invalid
    `reason_too_long`, `invalid_text`, `invisible_characters`.
    """
    with tried("approval.release", request_id, by=by, via=via), transaction.atomic(durable=True):
        reason = validation.reason_of(reason)
        validation.not_in_future(as_of)
        request = request_lock_seen(by, request_id)
        held_by = holder(request, as_of=as_of)
        if held_by is None:
            return request
        if (refusal := claim_refusal(request, by, as_of=as_of)) and not by.has_perm(
            REASSIGN_PERMISSION
        ):
            raise refusal
        _hold(request, None, None, as_of=as_of)
        body = {"held_by": held_by.audit_id, **({"reason": reason} if reason else {})}
        record(request, "released", by=by, via=via, body=body)
        announce(request)
        return request


def claim_reassign(
    *,
    request_id: UUID | str,
    to: User | str,
    by: User,
    reason: str,
    via: str,
    as_of: datetime,
) -> ApprovalRequest:
    """Give the claim to a user (or username) for ASSIGN_SECONDS, and notify them.

    Allowed for the holder and with the permission approvals.reassign_approvalrequest; never for the
    requester or an editor, because they must not choose who judges their request. Raises, each
    audited: NotFound; NotAllowed `permission_denied`, `requester_cannot_sign`,
    `editor_cannot_sign`; Conflict `already_decided`, `expired`, `workflow_closed`, `claimed`;
    Invalid `assignee_cannot_sign` (extra because: the code with which the assignee's decision or,
    without the permission, their claim would be refused), `reason_too_long`, `invalid_text`.
    """
    with tried("approval.reassign", request_id, by=by, via=via), transaction.atomic(durable=True):
        reason = validation.reason_of(reason)
        validation.not_in_future(as_of)
        request = request_lock_seen(by, request_id)
        if refusal := state_refusal(request, as_of=as_of):
            raise refusal
        if barred := own_refusal(request, {by.pk}):
            raise barred
        held_by = holder(request, as_of=as_of)
        permitted = by.has_perm(REASSIGN_PERMISSION)
        if not permitted and (held_by is None or held_by.pk != by.pk):
            raise claim_refusal(request, by, as_of=as_of) or NotAllowed(
                _("Only who holds it gives it to somebody else: claim it first."),
                code="permission_denied",
            )
        assignee = person_named(to, code="assignee_cannot_sign")
        assert assignee is not None  # `to` is required
        _check_assignee(request, assignee, as_of=as_of, limited=not permitted)
        if held_by is not None and held_by.pk == assignee.pk and by.pk == assignee.pk:
            return request
        until = as_of + timedelta(seconds=settings.ASSIGN_SECONDS)
        _hold(request, assignee, until, as_of=as_of)
        record(
            request,
            "reassigned",
            by=by,
            via=via,
            body={"to": assignee.audit_id, "until": until.isoformat(), "reason": reason},
        )
        notify(
            key=f"approval:{request.pk}:assigned:{request.version}",
            recipients=[assignee],
            kind="approval.assigned",
            title=gettext("{by} asks you to decide: {title}").format(by=by, title=request.title),
            text=reason,
            url=reverse("request", args=[request.pk]),
        )
        announce(request)
        return request


def _check_assignee(
    request: ApprovalRequest, assignee: User, *, as_of: datetime, limited: bool
) -> None:
    # Ignore the present claim: the assignee takes it over.
    refusal = person_refusal(request, assignee, as_of=as_of, claims=False)
    if refusal is None and limited:
        # Otherwise two users could pass the claim back and forth for ever.
        refusal = used_up(request, assignee.pk, as_of=as_of)
    seen = ApprovalRequest.objects.visible_to(assignee).filter(pk=request.pk).exists()
    if refusal or not seen:
        because = refusal.code if refusal else "not_found"
        raise Invalid(
            filled(_("{assignee} could not sign it."), assignee=assignee),
            code="assignee_cannot_sign",
            because=because,
        )


def _hold(
    request: ApprovalRequest, by: User | None, until: datetime | None, *, as_of: datetime
) -> None:
    hold_put(request, by.pk if by else None, until, as_of=as_of)
    request.claimed_by = by
    request.version += 1
    request.save(update_fields=["claimed_by", "claimed_until", "holds", "version"])


def _nobodys() -> Conflict:
    return Conflict(_("It cannot be claimed now."), code="conflict")
