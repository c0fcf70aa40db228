"""Activities of the saga and of batches: fetch the input, call the service, return a contract.

All but three are short idempotent database steps. `execute_intervention` and `roll_back` call the
executor and send heartbeats while they wait for it; `reconcile_reservations` sends heartbeats while
it works.
"""

from collections.abc import Callable
from typing import Any

from django.utils import timezone
from temporalio import activity

from apps.approvals.activities.signed_runs import run_activities, workflow_id
from apps.approvals.contracts import RunPrepare, Waiting
from apps.engine import effects
from apps.engine.heartbeats import heartbeating
from apps.interventions.contracts import (
    AttentionInput,
    ExecutionResult,
    OutcomeInput,
    PreparedItems,
    ReconcileInput,
    ReconcileResult,
    RollBackResult,
    SagaFacts,
    SettleInput,
    StepInput,
    TimedInput,
)
from apps.interventions.services import (
    approval,
    attention,
    batches_rows,
    batches_running,
    batches_signing,
    budgets,
    execution,
    outcomes,
    policies,
    recovery,
    rows,
)


# --- the request ---------------------------------------------------------------------------------
@activity.defn(name="open_approval")
def open_approval(input: TimedInput) -> Waiting:
    """Ask for the signatures that the rule needs, or approve the row at once; return its state."""
    return approval.approval_open(
        input.intervention_id, workflow_id=workflow_id(), as_of=input.as_of
    )


@activity.defn(name="read_decision")
def read_decision(input: StepInput) -> Waiting:
    """Return the row's state; signals that the outbox did not send are audited."""
    return approval.decision_read(input.intervention_id, signals=input.signals)


@activity.defn(name="expire_intervention")
def expire_intervention(input: TimedInput) -> Waiting:
    """End the intervention as expired if it still waits; return its state."""
    return approval.intervention_expire(input.intervention_id, as_of=input.as_of)


# --- the saga's seven steps ----------------------------------------------------------------------
# The three short steps before the execution are one activity and one transaction, and so are the
# three after it. If the saga fails and the execution stands, those three run one by one.
@activity.defn(name="prepare_execution")
def prepare_execution(input: StepInput) -> None:
    """Run the three steps before the execution in one transaction."""

    def steps() -> None:
        pk = input.intervention_id
        policies.policy_validate(
            intervention_id=pk, workflow_id=workflow_id(), as_of=timezone.now()
        )
        policies.policy_details(intervention_id=pk)
        budgets.budget_reserve(intervention_id=pk)

    related = ("policy", "requested_by", "budget")
    rows.step_group_run(input.intervention_id, steps, related=related)


# `heartbeating` checks for cancellation: an exception raised in the thread could prevent writing
# down the executor's answer.
@activity.defn(name="execute_intervention", no_thread_cancel_exception=True)
def execute_intervention(input: StepInput) -> ExecutionResult:
    """Call the executor; return its receipt."""
    return ExecutionResult(effects.carry_out(execution.EXECUTION, input.intervention_id))


@activity.defn(name="update_feature_store")
def update_feature_store(input: StepInput) -> None:
    """Add the execution to the target's features."""
    outcomes.feature_update(intervention_id=input.intervention_id)


@activity.defn(name="notify_stakeholders")
def notify_stakeholders(input: StepInput) -> None:
    """Notify the requester and the signers."""
    outcomes.stakeholders_notify(intervention_id=input.intervention_id)


@activity.defn(name="record_outcome")
def record_outcome(input: OutcomeInput) -> None:
    """Spend the reservation and end the intervention as executed."""
    outcomes.outcome_record(intervention_id=input.intervention_id, missing=input.missing)


@activity.defn(name="conclude_execution")
def conclude_execution(input: StepInput) -> None:
    """Run the three steps after the execution in one transaction."""

    def steps() -> None:
        update_feature_store(input)
        notify_stakeholders(input)
        record_outcome(OutcomeInput(input.intervention_id))

    related = ("requested_by", "budget")
    rows.step_group_run(input.intervention_id, steps, related=related)


# --- compensation and the end --------------------------------------------------------------------
@activity.defn(name="read_saga")
def read_saga(input: StepInput) -> SagaFacts:
    """Return what the database knows of the saga."""
    return outcomes.saga_facts(intervention_id=input.intervention_id, workflow_id=workflow_id())


@activity.defn(name="roll_back", no_thread_cancel_exception=True)
def roll_back(input: StepInput) -> RollBackResult:
    """Ask the executor to reverse the execution; return the resulting state."""
    return RollBackResult(effects.undo(execution.EXECUTION, input.intervention_id))


@activity.defn(name="release_budget")
def release_budget(input: StepInput) -> None:
    """Release the open reservation."""
    budgets.budget_release(intervention_id=input.intervention_id, workflow_id=workflow_id())


@activity.defn(name="commit_budget")
def commit_budget(input: StepInput) -> None:
    """Spend the open reservation."""
    budgets.budget_commit(intervention_id=input.intervention_id)


@activity.defn(name="settle_intervention")
def settle_intervention(input: SettleInput) -> SagaFacts:
    """End an intervention without an effect; return its state."""
    return outcomes.intervention_settle(
        intervention_id=input.intervention_id,
        status=input.status,
        code=input.code,
        detail=input.detail,
        workflow_id=workflow_id(),
    )


@activity.defn(name="raise_attention")
def raise_attention(input: AttentionInput) -> None:
    """Ask a person for a decision about the intervention."""
    attention.attention_open(input.intervention_id, code=input.code, detail=input.detail)


# --- the reconciler ------------------------------------------------------------------------------
@activity.defn(name="reconcile_reservations")
def reconcile_reservations(input: ReconcileInput) -> ReconcileResult:
    """Settle reservations whose saga is closed."""
    return heartbeating(recovery.reservations_reconcile, limit=input.limit, as_of=timezone.now())


# --- batches -------------------------------------------------------------------------------------
BATCH = run_activities(batches_rows.RUN, batches_signing.SIGNED_BATCH)


@activity.defn(name="prepare_items")
def prepare_items(input: RunPrepare) -> PreparedItems:
    """Prepare the batch's next items; return those to execute."""
    return batches_running.items_prepare(
        input.run_id,
        workflow_id=workflow_id(),
        limit=input.limit,
        known=input.known,
        as_of=input.as_of,
    )


@activity.defn(name="note_item")
def note_item(input: TimedInput) -> None:
    """Note that the saga of an item has ended, or that its batch continues without it."""
    batches_running.item_note(intervention_id=input.intervention_id, as_of=input.as_of)


ACTIVITIES: list[Callable[..., Any]] = [
    open_approval,
    read_decision,
    expire_intervention,
    prepare_execution,
    execute_intervention,
    update_feature_store,
    notify_stakeholders,
    record_outcome,
    conclude_execution,
    read_saga,
    roll_back,
    release_budget,
    commit_budget,
    settle_intervention,
    raise_attention,
    reconcile_reservations,
    prepare_items,
    note_item,
    *BATCH.all(),
]
