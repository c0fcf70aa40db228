"""What carries an intervention: its two workflows, and this domain's messages to them."""

from typing import TYPE_CHECKING

from django.db.models import Exists

from apps.approvals.selectors import requests_by_row
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

#: To take back what others asked for.
CANCEL_PERMISSION = "interventions.cancel_intervention"


def _ref(intervention: Intervention, again: bool) -> InterventionRef:
    return InterventionRef(str(intervention.pk), timings(), restarted=again)


def _executed_by(intervention: Intervention) -> str:
    """The saga that ran before runs again; the row lets no other execute it."""
    return intervention.executor_id or intervention.execution_workflow_id


def _needs(intervention: Intervention) -> Carrier[Intervention] | None:
    status = InterventionStatus(intervention.status)
    if status in {InterventionStatus.PENDING, InterventionStatus.AWAITING_APPROVAL}:
        return APPROVAL
    return None if status.terminal else EXECUTION


def _open_rows() -> "QuerySet[Intervention]":
    """Those that nobody is asked about. A batch that runs looks after its own; one that is paused
    begins none: an item that has not begun waits until it goes on."""
    questions = requests_by_row(SUBJECT, kind=ATTENTION_KIND).filter(settled_at=None)
    rows = (
        Intervention.objects.unsettled()
        .exclude(batch__status=BatchStatus.RUNNING)
        .exclude(
            batch__status=BatchStatus.PAUSED, status=InterventionStatus.APPROVED, executor_id=""
        )
    )
    return rows.filter(~Exists(questions))


#: Waits for the signature, then runs the saga as its child.
APPROVAL: Carrier[Intervention] = Carrier(APPROVAL_WORKFLOW, _ref, process.WAITING_BACKSTOP)
#: The saga by itself, from the row.
EXECUTION: Carrier[Intervention] = Carrier(
    EXECUTE_WORKFLOW, _ref, process.SAGA_BACKSTOP, workflow_id=_executed_by
)

INTERVENTION = Process(
    subject=SUBJECT,
    title="Intervention",
    noun="intervention",
    model=Intervention,
    queue=TASK_QUEUE,
    url_name="intervention",
    carriers=(APPROVAL, EXECUTION),
    needs=_needs,
    open_rows=_open_rows,
    # Its request names it, and the saga's id is made of it: one execution, ever.
    keeps_id=lambda intervention: True,
    id_tails=("-execution",),
    list_topics=("interventions",),
    shared_topics=("home",),
)


def intervention_start_again(intervention: Intervention, *, key: str) -> None:
    """Start the workflow that the row's status needs; `key` makes it once. Joins."""
    carrier = _needs(intervention)
    if carrier is None and intervention.error_code:
        # Executed with steps missing is run again too: what is done is not done twice.
        carrier = EXECUTION
    if carrier is not None:
        process.start_again(INTERVENTION, intervention, carrier, key=key)


def held_by_batch(intervention: Intervention) -> BatchStatus | None:
    """The status of its batch, where that says whether the item begins: no saga ever carried it.

    None for one that has begun, and for one that is no item of a batch that runs no more.
    """
    if intervention.batch is None or intervention.executor_id:
        return None
    status = BatchStatus(intervention.batch.status)
    begins = intervention.status == InterventionStatus.APPROVED
    return status if begins and status in {BatchStatus.PAUSED, BatchStatus.CANCELLED} else None


def cancel_signal(intervention: Intervention) -> None:
    """Wake the workflow of an intervention that was cancelled. Joins the caller's transaction.

    Nobody waits for a signature of an item of a batch: its saga sees it at the next step.
    """
    if intervention.batch_id is None:
        process.wake(INTERVENTION, intervention, signal=SIGNAL_CANCEL, event="cancel")
