"""The saga's activities: fetch, call the service, return a contract.

All but two are short idempotent database steps. `execute_intervention` and `roll_back` call the
executor and send heartbeats while they wait for it.
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
    return approval.approval_open(
        input.intervention_id, workflow_id=workflow_id(), as_of=input.as_of
    )


@activity.defn(name="read_decision")
def read_decision(input: StepInput) -> Waiting:
    return approval.decision_read(input.intervention_id, signals=input.signals)


@activity.defn(name="expire_intervention")
def expire_intervention(input: TimedInput) -> Waiting:
    return approval.intervention_expire(input.intervention_id, as_of=input.as_of)


# --- the saga's seven steps ----------------------------------------------------------------------
# The three short ones before the execution are one activity and one transaction, and so are the
# three after it. After an execution that stands, those after it run one by one.
@activity.defn(name="prepare_execution")
def prepare_execution(input: StepInput) -> None:
    """The three steps before the execution."""

    def steps() -> None:
        pk = input.intervention_id
        policies.policy_validate(
            intervention_id=pk, workflow_id=workflow_id(), as_of=timezone.now()
        )
        policies.policy_details(intervention_id=pk)
        budgets.budget_reserve(intervention_id=pk)

    related = ("policy", "requested_by", "budget")
    rows.step_group_run(input.intervention_id, steps, related=related)


# Cancellation is looked at by `heartbeating`; raised in the thread, it could cut off the note of
# what the executor has just answered.
@activity.defn(name="execute_intervention", no_thread_cancel_exception=True)
def execute_intervention(input: StepInput) -> ExecutionResult:
    return ExecutionResult(effects.carry_out(execution.EXECUTION, input.intervention_id))


@activity.defn(name="update_feature_store")
def update_feature_store(input: StepInput) -> None:
    outcomes.feature_update(intervention_id=input.intervention_id)


@activity.defn(name="notify_stakeholders")
def notify_stakeholders(input: StepInput) -> None:
    outcomes.stakeholders_notify(intervention_id=input.intervention_id)


@activity.defn(name="record_outcome")
def record_outcome(input: OutcomeInput) -> None:
    outcomes.outcome_record(intervention_id=input.intervention_id, missing=input.missing)


@activity.defn(name="conclude_execution")
def conclude_execution(input: StepInput) -> None:
    """The three steps after the execution."""

    def steps() -> None:
        update_feature_store(input)
        notify_stakeholders(input)
        record_outcome(OutcomeInput(input.intervention_id))

    related = ("requested_by", "budget")
    rows.step_group_run(input.intervention_id, steps, related=related)


# --- compensation and the end --------------------------------------------------------------------
@activity.defn(name="read_saga")
def read_saga(input: StepInput) -> SagaFacts:
    return outcomes.saga_facts(intervention_id=input.intervention_id, workflow_id=workflow_id())


@activity.defn(name="roll_back", no_thread_cancel_exception=True)
def roll_back(input: StepInput) -> RollBackResult:
    return RollBackResult(effects.undo(execution.EXECUTION, input.intervention_id))


@activity.defn(name="release_budget")
def release_budget(input: StepInput) -> None:
    budgets.budget_release(intervention_id=input.intervention_id, workflow_id=workflow_id())


@activity.defn(name="commit_budget")
def commit_budget(input: StepInput) -> None:
    budgets.budget_commit(intervention_id=input.intervention_id)


@activity.defn(name="settle_intervention")
def settle_intervention(input: SettleInput) -> SagaFacts:
    return outcomes.intervention_settle(
        intervention_id=input.intervention_id,
        status=input.status,
        code=input.code,
        detail=input.detail,
        workflow_id=workflow_id(),
    )


@activity.defn(name="raise_attention")
def raise_attention(input: AttentionInput) -> None:
    attention.attention_open(input.intervention_id, code=input.code, detail=input.detail)


# --- the reconciler ------------------------------------------------------------------------------
@activity.defn(name="reconcile_reservations")
def reconcile_reservations(input: ReconcileInput) -> ReconcileResult:
    return heartbeating(recovery.reservations_reconcile, limit=input.limit, as_of=timezone.now())


# --- batches -------------------------------------------------------------------------------------
BATCH = run_activities(batches_rows.RUN, batches_signing.SIGNED_BATCH)


@activity.defn(name="prepare_items")
def prepare_items(input: RunPrepare) -> PreparedItems:
    return batches_running.items_prepare(
        input.run_id,
        workflow_id=workflow_id(),
        limit=input.limit,
        known=input.known,
        as_of=input.as_of,
    )


@activity.defn(name="note_item")
def note_item(input: TimedInput) -> None:
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
