"""Messages of this domain to the engine."""

from django.conf import settings

from apps.engine import services as engine
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE
from apps.engine.models import EngineCommand
from apps.interventions.contracts import (
    APPROVAL_WORKFLOW,
    EXECUTE_WORKFLOW,
    SIGNAL_CANCEL,
    SUBJECT,
    TASK_QUEUE,
    InterventionRef,
    InterventionStatus,
)
from apps.interventions.models import Intervention

#: Server-side timeouts close a workflow without compensating. They only end what nobody will ever
#: end: a request may wait for a year, a saga for a database that is away for days.
APPROVAL_BACKSTOP_SECONDS = 400 * 24 * 3600.0
EXECUTION_BACKSTOP_SECONDS = 7 * 24 * 3600.0


def approval_start(intervention: Intervention, *, key: str = "", restarted: bool = False) -> None:
    """Start the workflow that waits for the signature. Joins the caller's transaction."""
    _start(
        intervention,
        key=f"{SUBJECT}:{intervention.pk}:start{':' if key else ''}{key}",
        workflow_id=intervention.workflow_id,
        workflow_type=APPROVAL_WORKFLOW,
        ref=InterventionRef(str(intervention.pk), engine.timings(), restarted=restarted),
        backstop=APPROVAL_BACKSTOP_SECONDS,
    )


def execution_start(intervention: Intervention, *, key: str, undo: bool = False) -> None:
    """Run the saga again from the row, under the id of the one that ran before. Joins."""
    _start(
        intervention,
        key=f"{SUBJECT}:{intervention.pk}:execute:{key}",
        workflow_id=intervention.executor_id or intervention.execution_workflow_id,
        workflow_type=EXECUTE_WORKFLOW,
        ref=InterventionRef(str(intervention.pk), engine.timings(), restarted=True, undo=undo),
        backstop=EXECUTION_BACKSTOP_SECONDS,
    )


def intervention_start_again(intervention: Intervention, *, key: str) -> None:
    """Start the workflow that the row's status needs; `key` makes it once. Joins."""
    status = InterventionStatus(intervention.status)
    if status in {InterventionStatus.PENDING, InterventionStatus.AWAITING_APPROVAL}:
        approval_start(intervention, key=key, restarted=True)
    elif not status.terminal or intervention.error_code:
        # Executed with steps missing is run again too: what is done is not done twice.
        execution_start(intervention, key=key)


def cancel_signal(intervention: Intervention) -> None:
    """Wake the workflow of an intervention that was cancelled. Joins the caller's transaction.

    Nobody waits for a signature of an item of a batch: its saga sees it at the next step.
    """
    if intervention.batch_id is not None:
        return
    engine.workflow_signal(
        key=f"{SUBJECT}:{intervention.pk}:cancel",
        workflow_id=intervention.workflow_id,
        task_queue=TASK_QUEUE,
        name=SIGNAL_CANCEL,
        subject_type=SUBJECT,
        subject_id=str(intervention.pk),
    )


def start_is_pending(intervention: Intervention) -> bool:
    """Whether a start of one of its workflows is still on its way to the engine."""
    return EngineCommand.objects.filter(
        kind="start",
        subject_type=SUBJECT,
        subject_id=str(intervention.pk),
        state__in=EngineCommand.UNSETTLED,
    ).exists()


def start_count(intervention: Intervention) -> int:
    """How often one of its workflows was started."""
    return EngineCommand.objects.filter(
        kind="start", subject_type=SUBJECT, subject_id=str(intervention.pk)
    ).count()


def _start(
    intervention: Intervention,
    *,
    key: str,
    workflow_id: str,
    workflow_type: str,
    ref: InterventionRef,
    backstop: float,
) -> None:
    engine.workflow_start(
        key=key,
        workflow_id=workflow_id,
        workflow_type=workflow_type,
        task_queue=TASK_QUEUE,
        args=[ref],
        subject_type=SUBJECT,
        subject_id=str(intervention.pk),
        execution_timeout_seconds=backstop,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        search_attributes={
            SUBJECT_ATTRIBUTE: f"{SUBJECT}:{intervention.pk}",
            KIND_ATTRIBUTE: SUBJECT,
        },
        allow_duplicate_failed=ref.restarted,
    )
