"""The signature: opening the request, what a decision does to the row, expiry."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.kinds import Edited
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import clock_next, request_expire, request_open, signals_judge
from apps.audit.contracts import ENGINE
from apps.audit.services import refusals
from apps.common.canonical_json import plain
from apps.common.errors import Conflict
from apps.common.validation import clean_text, read_amount
from apps.interventions.contracts import KIND, SUBJECT, Decision, InterventionStatus
from apps.interventions.models import Intervention
from apps.interventions.services.attention import attention_is_open
from apps.interventions.services.policy_limits import check_limit, check_target
from apps.interventions.services.rows import (
    check_unsettled,
    intervention_lock,
    is_settled,
    parse_id,
    record,
    row_save,
)
from apps.interventions.services.settlement import settle_row
from apps.interventions.services.validation import clean_target


def approval_open(*, intervention_id: UUID | str, workflow_id: str, as_of: datetime) -> Decision:
    """Ask for the signatures that the policy's rule wants; without any the row is approved at once.

    Again is a look at how it stands. Raises NotFound, Conflict `not_its_workflow` when a workflow
    asks that the intervention does not belong to, and what the rule refuses.
    """
    with (
        refusals(
            action="intervention.approval_open",
            subject_type=SUBJECT,
            subject_id=str(intervention_id),
            by=ENGINE,
            via="engine",
        ),
        transaction.atomic(durable=True),
    ):
        intervention = intervention_lock(intervention_id, "policy", "budget", "requested_by")
        if intervention.workflow_id != workflow_id:
            raise Conflict(
                f"This intervention belongs to the workflow {intervention.workflow_id}.",
                code="not_its_workflow",
            )
        if intervention.status in {
            InterventionStatus.PENDING,
            InterventionStatus.AWAITING_APPROVAL,
        }:
            _ask(intervention, as_of=as_of)
        return decision_of(intervention)


def decision_read(*, intervention_id: UUID | str, signals: Iterable[str] = ()) -> Decision:
    """How it stands now. Raises NotFound.

    `signals` woke the workflow: those that find the request open and that nobody here has sent are
    audited.
    """
    intervention = Intervention.objects.filter(pk=parse_id(intervention_id)).first()
    # Through the lock's look-up for its NotFound; a read needs no lock.
    decision = decision_of(intervention or intervention_lock(intervention_id))
    if decision.request_status == RequestStatus.OPEN:
        signals_judge(request_id=decision.request_id, commands=signals)
    return decision


def intervention_expire(*, intervention_id: UUID | str, as_of: datetime) -> Decision:
    """The time to sign is over at `as_of`: request and row end as expired, together.

    No-op when somebody decided in time, and before its time.
    """
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        request = approval_of(intervention)
        if request is None or is_settled(intervention):
            return decision_of(intervention)
        try:
            request = request_expire(request_id=request.pk, as_of=as_of)
        except Conflict as refusal:
            if refusal.code != "not_due":
                raise
            return decision_of(intervention)
        if request.status == RequestStatus.EXPIRED:
            settle_row(
                intervention,
                InterventionStatus.EXPIRED,
                code="expired",
                detail="Nobody signed in time.",
                as_of=as_of,
            )
        return decision_of(intervention)


def approval_edit(
    *, request: ApprovalRequest, changes: Mapping[str, str], by: User, via: str, as_of: datetime
) -> Edited:
    """Amount (major units), target or justification of what still waits, on the row.

    Joins the transaction of the edit, which has locked the row. Raises Conflict `already_settled`,
    `not_waiting`, `target_limit_exceeded`; Invalid `amount_invalid`, `amount_above_limit`,
    `amount_below_limit`, `target_invalid`, `justification_invalid`. The digest of the first request
    stays: a repeat of it is answered with this row.
    """
    intervention = intervention_lock(request.subject_id)
    check_unsettled(intervention)
    if intervention.status != InterventionStatus.AWAITING_APPROVAL:
        raise Conflict("It does not wait for a signature.", code="not_waiting")
    if "amount" in changes:
        intervention.amount = read_amount(changes["amount"], intervention.currency)
        check_limit(intervention.policy, intervention.amount)
    if "target" in changes:
        intervention.target = clean_target(changes["target"])
    if {"amount", "target"} & changes.keys():
        check_target(
            intervention.policy,
            target=intervention.target,
            amount=intervention.amount,
            as_of=as_of,
        )
    if "justification" in changes:
        intervention.justification = clean_text(
            changes["justification"], field="justification", limit=5000, multiline=True
        )
    row_save(intervention, "amount", "target", "justification")
    record(intervention, "intervention.edited", by=by, via=via, fields=sorted(changes))
    return Edited(
        title=str(intervention),
        amount=intervention.amount,
        currency=intervention.currency,
        payload=approval_payload(intervention),
    )


def approval_settled(
    *, request: ApprovalRequest, by: User | None, via: str, as_of: datetime
) -> None:
    """The decision, on the row: approved waits for its saga, rejected is the end of it.

    Joins the transaction of the signature; the workflow learns of it by signal and re-reads.
    """
    intervention = intervention_lock(request.subject_id)
    if is_settled(intervention):
        return
    if request.status == RequestStatus.APPROVED:
        if intervention.status == InterventionStatus.AWAITING_APPROVAL:
            intervention.status = InterventionStatus.APPROVED
            row_save(intervention, "status")
            record(intervention, "intervention.approved", by=by or ENGINE, via=via)
    elif request.status == RequestStatus.REJECTED:
        settle_row(
            intervention,
            InterventionStatus.REJECTED,
            code="rejected",
            detail=request.settled_words,
            by=by or ENGINE,
            via=via,
            as_of=as_of,
        )


def approval_key(intervention: Intervention) -> str:
    """Key of its one request for a signature."""
    return f"{SUBJECT}:{intervention.pk}"


def approval_of(intervention: Intervention) -> ApprovalRequest | None:
    """Its request for a signature, if one was opened."""
    return ApprovalRequest.objects.filter(key=approval_key(intervention)).first()


def approval_payload(intervention: Intervention) -> dict[str, Any]:
    """What is signed: everything that decides where money goes, as it was asked for.

    The region only where one was named: what was signed before there were regions stays as it was.
    """
    payload: dict[str, Any] = plain(
        {
            "intervention": intervention.pk,
            "policy": intervention.policy.code,
            "policy_version": intervention.policy.version,
            "reversible": intervention.policy.reversible,
            "budget": intervention.budget.code,
            "amount": f"{intervention.amount:.2f}",
            "currency": intervention.currency,
            "target": intervention.target,
            "justification": intervention.justification,
            "requested_by": intervention.requested_by.audit_id,
            **({"region": intervention.region} if intervention.region else {}),
        }
    )
    return payload


def decision_of(intervention: Intervention) -> Decision:
    """The contract that the approval workflow re-reads. What a request says is long, and no part of
    it: it is left out."""
    asked = ApprovalRequest.objects.filter(key=approval_key(intervention))
    request = asked.only("status", "expires_at", "clock").first()
    return Decision(
        status=intervention.status,
        request_id=str(request.pk) if request else "",
        request_status=request.status if request else "",
        expires_at=request.expires_at if request else None,
        next_at=clock_next(request) if request else None,
        attention=attention_is_open(intervention),
        code=intervention.error_code,
        detail=intervention.error_detail,
    )


def _ask(intervention: Intervention, *, as_of: datetime) -> None:
    request = request_open(
        key=approval_key(intervention),
        kind=KIND,
        scope=intervention.policy.code,
        title=str(intervention),
        subject_type=SUBJECT,
        subject_id=str(intervention.pk),
        workflow_id=intervention.workflow_id,
        requested_by=intervention.requested_by,
        amount=intervention.amount,
        currency=intervention.currency,
        payload=approval_payload(intervention),
        as_of=as_of,
    )
    if request is None or request.status == RequestStatus.APPROVED:
        intervention.status = InterventionStatus.APPROVED
        row_save(intervention, "status")
        record(intervention, "intervention.approved", signature_needed=request is not None)
    elif request.status != RequestStatus.OPEN:
        # A restored backup may know the answer and not what followed from it.
        settle_row(
            intervention,
            InterventionStatus(request.status),
            code=request.status,
            detail=request.settled_words,
            as_of=as_of,
        )
    elif intervention.status == InterventionStatus.PENDING:
        intervention.status = InterventionStatus.AWAITING_APPROVAL
        row_save(intervention, "status")
        record(intervention, "intervention.awaiting_approval", request_id=request.pk)
