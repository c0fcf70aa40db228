"""The two workflows of an intervention, and the commands to them."""

from typing import TYPE_CHECKING

from django.db.models import Exists

from apps.approvals.selectors import requests_by_row
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import Carrier, Process
from apps.engine.services import timings
from apps.interventions.contracts import (
    APPROVAL_WORKFLOW,
    ATTENTION_KIND,
    EXECUTE_WORKFLOW,
    SIGNAL_CANCEL,
    SUBJECT,
    TASK_QUEUE,
    BatchStatus,
    InterventionRef,
    InterventionStatus,
)
from apps.interventions.models import Intervention

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: The permission to cancel interventions of other requesters.
CANCEL_PERMISSION = "interventions.cancel_intervention"


def _ref(intervention: Intervention, again: bool) -> InterventionRef:
    return InterventionRef(str(intervention.pk), timings(), restarted=again)


def _executed_by(intervention: Intervention) -> str:
    """Return the id of the saga that ran before, or of the first one: the row allows no other saga
    to execute it."""
    return intervention.executor_id or intervention.execution_workflow_id


def _needs(intervention: Intervention) -> Carrier[Intervention] | None:
    """Return the workflow that the row's status needs."""
    status = InterventionStatus(intervention.status)
    if status in {InterventionStatus.PENDING, InterventionStatus.AWAITING_APPROVAL}:
        return APPROVAL
    return None if status.terminal else EXECUTION


def _open_rows() -> "QuerySet[Intervention]":
    """Return unsettled rows without an open decision of a person. Leaves out items of a running
    batch, which restarts its own, and items of a paused batch that have not begun, because they
    wait until it resumes."""
    questions = requests_by_row(SUBJECT, kind=ATTENTION_KIND).filter(settled_at=None)
    rows = (
        Intervention.objects.unsettled()
        .exclude(batch__status=BatchStatus.RUNNING)
        .exclude(
            batch__status=BatchStatus.PAUSED, status=InterventionStatus.APPROVED, executor_id=""
        )
    )
    return rows.filter(~Exists(questions))


#: The workflow that waits for the signature, then runs the saga as its child.
APPROVAL: Carrier[Intervention] = Carrier(APPROVAL_WORKFLOW, _ref, process.WAITING_BACKSTOP)
#: The saga on its own, continuing from the row.
EXECUTION: Carrier[Intervention] = Carrier(
    EXECUTE_WORKFLOW, _ref, process.SAGA_BACKSTOP, workflow_id=_executed_by
)

INTERVENTION = Process(
    subject=SUBJECT,
    title=_("Intervention"),
    noun="intervention",
    missing=_("There is no such intervention."),
    opens=_("Open the intervention"),
    model=Intervention,
    queue=TASK_QUEUE,
    url_name="intervention",
    carriers=(APPROVAL, EXECUTION),
    needs=_needs,
    open_rows=_open_rows,
    # The id never changes: the request for a signature names it, and the saga's id derives from it,
    # so that there is a single execution.
    keeps_id=lambda intervention: True,
    id_tails=("-execution",),
    list_topics=("interventions",),
    shared_topics=("home",),
)


def intervention_start_again(intervention: Intervention, *, key: str) -> None:
    """Start the workflow that the row's status needs, once per `key`. Joins the caller's
    transaction."""
    carrier = _needs(intervention)
    if carrier is None and intervention.error_code:
        # An executed intervention with missing steps also runs again; finished steps are not
        # repeated.
        carrier = EXECUTION
    if carrier is not None:
        process.start_again(INTERVENTION, intervention, carrier, key=key)


def held_by_batch(intervention: Intervention) -> BatchStatus | None:
    """Return the status of a paused or cancelled batch whose item, the intervention, has not begun.

    None if it has begun, or if it is not an item of such a batch.
    """
    if intervention.batch is None or intervention.executor_id:
        return None
    status = BatchStatus(intervention.batch.status)
    begins = intervention.status == InterventionStatus.APPROVED
    return status if begins and status in {BatchStatus.PAUSED, BatchStatus.CANCELLED} else None


def cancel_signal(intervention: Intervention) -> None:
    """Wake the workflow of a cancelled intervention. Joins the caller's transaction.

    No-op for an item of a batch: no workflow waits for its signature, and its saga notices at the
    next step.
    """
    if intervention.batch_id is None:
        process.wake(INTERVENTION, intervention, signal=SIGNAL_CANCEL, event="cancel")
