"""Inbox items of the kind "intervention.attention": what the system must not decide alone.

Approve always means "carry on from the row". Reject means "do not carry on": what was never
executed ends as failed and its money is free; what was, or may have been, executed is undone as
far as its policy allows, and otherwise stands and is booked as spent; what has ended already, with
steps missing after it, stays as it is.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_open
from apps.audit.contracts import ENGINE
from apps.interventions.contracts import ATTENTION_KIND, SUBJECT, Execution, InterventionStatus
from apps.interventions.models import Intervention
from apps.interventions.services.commands import intervention_start_again
from apps.interventions.services.rows import (
    execution_of,
    intervention_lock,
    is_settled,
    record,
    row_announce,
    step_statuses,
)
from apps.interventions.services.settlement import followers_tell, settle_row


def attention_raise(
    *, intervention: Intervention, code: str, detail: str, as_of: datetime
) -> ApprovalRequest | None:
    """Ask a person to look at it; while one such item is open there is no second.

    Joins the transaction that holds the row's lock. The requester of the intervention cannot sign
    it: carrying on moves money.
    """
    items = ApprovalRequest.objects.filter(
        kind=ATTENTION_KIND, subject_type=SUBJECT, subject_id=str(intervention.pk)
    )
    if open_item := items.open().first():
        return open_item
    item = request_open(
        key=f"{SUBJECT}:{intervention.pk}:attention:{items.count() + 1}",
        kind=ATTENTION_KIND,
        scope="",
        title=f"Look at {intervention}"[:200],
        subject_type=SUBJECT,
        subject_id=str(intervention.pk),
        # Nobody waits for it: it must be decidable although the workflow has ended.
        workflow_id="",
        requested_by=intervention.requested_by,
        amount=intervention.amount,
        currency=intervention.currency,
        payload={
            "intervention": str(intervention.pk),
            "code": code,
            "detail": detail,
            "status": intervention.status,
            "execution": execution_of(step_statuses(intervention)),
            "approve": "Carry on from where it stands.",
            "reject": _what_reject_does(intervention),
        },
        as_of=as_of,
    )
    followers_tell(intervention, asked=True)
    record(intervention, f"{SUBJECT}.attention", code=code, detail=detail)
    row_announce(intervention)
    return item


def attention_open(*, intervention_id: UUID | str, code: str, detail: str) -> None:
    """As `attention_raise`, in a transaction of its own: for a saga that needs a person."""
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        attention_raise(intervention=intervention, code=code, detail=detail, as_of=timezone.now())


def attention_settled(
    *, request: ApprovalRequest, by: User | None, via: str, as_of: datetime
) -> None:
    """Do what the person decided. Joins the transaction of the signature.

    Nobody decided in time: the trouble is still there, so it is asked again.
    """
    intervention = intervention_lock(request.subject_id)
    if request.status == RequestStatus.APPROVED:
        record(intervention, f"{SUBJECT}.carried_on", by=by or ENGINE, via=via)
        intervention_start_again(intervention, key=f"attention:{request.pk}")
    elif request.status == RequestStatus.REJECTED and not is_settled(intervention):
        record(intervention, f"{SUBJECT}.given_up", by=by or ENGINE, via=via)
        if _may_be_executed(intervention):
            # Its saga reads that this was rejected.
            intervention_start_again(intervention, key=f"attention:{request.pk}")
        else:
            settle_row(
                intervention,
                InterventionStatus.FAILED,
                code="given_up",
                detail=request.settled_reason or "A person decided not to carry on.",
                by=by or ENGINE,
                via=via,
                as_of=as_of,
            )
    elif request.status == RequestStatus.EXPIRED:
        asked = current_payload(request).payload
        attention_raise(
            intervention=intervention, code=asked["code"], detail=asked["detail"], as_of=as_of
        )


def attention_is_open(intervention: Intervention) -> bool:
    """Whether a person is asked about it now."""
    return (
        ApprovalRequest.objects.open()
        .filter(kind=ATTENTION_KIND, subject_type=SUBJECT, subject_id=str(intervention.pk))
        .exists()
    )


def _may_be_executed(intervention: Intervention) -> bool:
    return execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}


def _what_reject_does(intervention: Intervention) -> str:
    if is_settled(intervention):
        return "Leave it as it is."
    if not _may_be_executed(intervention):
        return "End it as failed; nothing was executed and its money is free."
    if intervention.policy.reversible:
        return "Undo the execution, give the money back and end it as failed."
    return "Find out whether it was executed; if so it stands and the money is spent."
