"""Recovery when a process was ended from outside, a message cannot be delivered, or the engine lost
its state.

What never reached the executor ends as failed and its money is released. What may have reached it,
and a person's decision that was not carried out, becomes an inbox item. Nothing is guessed.
"""

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals.selectors import requests_by_row
from apps.common.language import lazy as _
from apps.engine import process
from apps.interventions.contracts import (
    ATTENTION_KIND,
    SUBJECT,
    BatchStatus,
    Execution,
    InterventionStatus,
    ReconcileResult,
)
from apps.interventions.models import TERMINAL, BudgetEntry, Intervention
from apps.interventions.services.attention import ATTENTION
from apps.interventions.services.budgets import has_open_reservation
from apps.interventions.services.commands import INTERVENTION, held_by_batch
from apps.interventions.services.rows import (
    attention_status,
    execution_of,
    intervention_lock,
    parse_id,
    record,
    step_statuses,
)
from apps.interventions.services.settlement import settle_row

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun

#: Code of an executed intervention whose later steps could not be done.
STEPS_MISSING = "steps_missing"
#: The field with the saga's id. Once a saga has begun, only its end counts: the workflow that waits
#: for it cannot end the row.
SAGA = "executor_id"


def intervention_restart(intervention_id: UUID | str) -> None:
    """Start the workflow again from the row, unless the row has ended or a start is pending.

    An item that has not begun waits while its batch is paused, and is cancelled if the batch was.
    Joins the caller's transaction. Concurrent calls create one start.
    """
    held = held_by_batch(row := intervention_lock(intervention_id, "batch"))
    if held is BatchStatus.CANCELLED:
        why = "Its batch was cancelled before it began."
        code = "batch_cancelled"
        settle_row(row, InterventionStatus.CANCELLED, code=code, detail=why, as_of=timezone.now())
    if held is not None:
        return
    intervention = process.restart(INTERVENTION, intervention_id)
    if intervention is not None:
        record(intervention, f"{SUBJECT}.restarted")


_CLOSED = {
    "completed": _("Its workflow was completed before it could finish."),
    "failed": _("Its workflow was failed before it could finish."),
    "cancelled": _("Its workflow was cancelled before it could finish."),
    "terminated": _("Its workflow was terminated before it could finish."),
    "timed_out": _("Its workflow was timed out before it could finish."),
    "lost": _("Its workflow was lost before it could finish."),
}
#: By whether the payment was executed, and whether the money is still reserved.
_UNFINISHED = {
    (True, True): _("The payment was executed; the money is still set aside."),
    (True, False): _("The payment was executed; the money is spent."),
    (False, True): _("The payment may have been executed; the money is still set aside."),
    (False, False): _("The payment may have been executed; the money is spent."),
}


def process_closed(
    *, intervention_id: UUID | str, workflow_id: str, run_status: str, as_of: datetime
) -> str:
    """Settle an intervention after its workflow has closed. Idempotent.

    Joins the caller's transaction. Returns `settled`, `attention`, or `left` when there was nothing
    to do: there is no such row, it has ended, another process runs for it, or a person's decision
    is open.
    """
    # Checks without a lock first, because nearly every run ends well, and a terminal status never
    # changes.
    unfinished = ~Q(status__in=TERMINAL) | Q(error_code=STEPS_MISSING)
    if not Intervention.objects.filter(unfinished, pk=parse_id(intervention_id)).exists():
        return "left"
    intervention = intervention_lock(intervention_id)
    carried = process.is_carried(INTERVENTION, intervention, id_field=SAGA)
    if carried or attention_status(intervention) == "open":
        return "left"
    if intervention.has_ended:
        return _ask_again(intervention, as_of=as_of)
    if intervention.executor_id not in {"", workflow_id}:
        # The saga may run although the mirror does not show it yet; its own end calls this
        # function, too.
        return "left"
    why = str(_CLOSED.get(run_status, _("Its workflow has ended before it could finish.")))
    execution = execution_of(step_statuses(intervention))
    if execution in {Execution.UNKNOWN, Execution.DONE}:
        text = _UNFINISHED[execution is Execution.DONE, has_open_reservation(intervention)]
        ATTENTION.ask(
            intervention,
            code="execution_unfinished",
            detail=f"{why} {text}",
            as_of=as_of,
        )
        return "attention"
    if intervention.status == InterventionStatus.APPROVED:
        ATTENTION.ask(
            intervention,
            code="approved_not_executed",
            detail=gettext("{why} It is approved, and nothing was executed.").format(why=why),
            as_of=as_of,
        )
        return "attention"
    settle_row(
        intervention,
        InterventionStatus.FAILED,
        code=f"workflow_{run_status}",
        detail=gettext("{why} Nothing was executed.").format(why=why),
        as_of=as_of,
    )
    return "settled"


def command_undeliverable(*, command: "EngineCommand", as_of: datetime) -> None:
    """Ask a person for a decision, because the engine will never accept this message. Joins the
    caller's transaction.

    No-op when the intervention has ended, for example by a cancellation, and no step is missing.
    """
    intervention = intervention_lock(command.subject_id)
    if intervention.has_ended:
        _ask_again(intervention, as_of=as_of)
        return
    text = {
        "start": gettext("For {workflow_id} {type} could not be started: {error}"),
        "signal": gettext("For {workflow_id} the message {name!r} could not be delivered: {error}"),
    }.get(
        command.kind,
        gettext("For {workflow_id} the command {kind!r} could not be carried out: {error}"),
    )
    ATTENTION.ask(
        intervention,
        code=f"{command.kind}_undeliverable",
        detail=text.format(
            workflow_id=command.workflow_id,
            type=command.workflow_type,
            name=command.name,
            kind=str(command.kind),
            error=command.error[:1000] or gettext("unknown reason"),
        ),
        as_of=as_of,
    )


def reservations_reconcile(*, limit: int, as_of: datetime) -> ReconcileResult:
    """Settle reservations whose saga is closed, each in a transaction of its own.

    Also asks again if a person decided to continue with missing steps and no saga does, as after a
    restored backup.
    """

    def settle(pk: UUID, run: "WorkflowRun") -> str:
        return process_closed(
            intervention_id=pk,
            workflow_id=run.workflow_id,
            run_status=run.status,
            as_of=as_of,
        )

    lines = BudgetEntry.objects.filter(intervention=OuterRef("pk"))
    held = Intervention.objects.unsettled().filter(
        Exists(lines.filter(kind="reserve")),
        ~Exists(lines.filter(kind__in=["release", "commit"])),
    )
    answers = requests_by_row(SUBJECT, kind=ATTENTION_KIND).values("status")[:1]
    decided = Intervention.objects.alias(answer=Subquery(answers)).filter(
        status=InterventionStatus.EXECUTED, error_code=STEPS_MISSING, answer="approved"
    )
    done: Counter[str] = Counter()
    for rows in (held, decided):
        done += process.reconcile_closed(
            INTERVENTION, rows.order_by("created_at"), settle, id_field=SAGA, limit=limit
        )
    return ReconcileResult(
        settled=done["settled"], attention=done["attention"], left=done["left"] + done["failed"]
    )


def _ask_again(intervention: Intervention, *, as_of: datetime) -> str:
    """Ask again if a person decided to continue with the missing steps and no workflow does: that
    run was ended from outside, or its start was discarded."""
    if intervention.error_code != STEPS_MISSING or attention_status(intervention) != "approved":
        return "left"
    ATTENTION.ask(
        intervention,
        code=STEPS_MISSING,
        detail=gettext("Somebody decided to carry on, and no workflow did. {error_detail}").format(
            error_detail=intervention.error_detail
        ),
        as_of=as_of,
    )
    return "attention"
