"""The effect in the outside world: what is known of it before, after and against each call.

The step's row is written before the call. From then on the money is bound until the executor has
said what became of it, whoever is killed in between.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from apps.audit.contracts import ENGINE
from apps.audit.services import refusals
from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.interventions.contracts import SUBJECT, Execution, Step
from apps.interventions.services.budgets import has_open_reservation
from apps.interventions.services.features import features_revert
from apps.interventions.services.rows import (
    StepStatus,
    check_unsettled,
    execution_of,
    intervention_lock,
    is_undoing,
    record,
    row_save,
    step_put,
    step_save,
    step_statuses,
)


@dataclass(frozen=True)
class Order:
    """What the executor is asked for; `receipt` is set when it has been done already."""

    intervention_id: str
    target: str
    amount: Decimal
    currency: str
    receipt: str = ""


@dataclass(frozen=True)
class Reversal:
    """What is asked to undo it. `needed` False: there is nothing to undo.

    `void_only`: the policy is not reversible, so only a call that has not taken effect is stopped.
    """

    intervention_id: str
    needed: bool
    void_only: bool
    execution: str
    receipt: str = ""


def execution_begin(*, intervention_id: UUID | str) -> Order:
    """Note that the executor is about to be called; the same again for every further attempt.

    Raises Conflict `already_settled`, `being_undone`, `not_reserved`, `execution_refused`.
    """
    with (
        _refusals("intervention.execute", intervention_id),
        transaction.atomic(durable=True),
    ):
        intervention = intervention_lock(intervention_id)
        check_unsettled(intervention)
        steps = step_statuses(intervention)
        if is_undoing(steps):
            raise Conflict("The intervention is being undone.", code="being_undone")
        execution = execution_of(steps)
        if execution in {Execution.REFUSED, Execution.REVERSED}:
            raise Conflict("The executor has refused this.", code="execution_refused")
        if execution is not Execution.DONE:
            if not has_open_reservation(intervention):
                raise Conflict("No money is reserved for this.", code="not_reserved")
            step_save(intervention, Step.EXECUTE, StepStatus.RUNNING)
        return Order(
            intervention_id=str(intervention.pk),
            target=intervention.target,
            amount=intervention.amount,
            currency=intervention.currency,
            receipt=intervention.receipt if execution is Execution.DONE else "",
        )


def execution_finish(*, intervention_id: UUID | str, receipt: str) -> None:
    """The executor gave this receipt. Idempotent; Conflict `receipt_differs` for another one."""
    with _refusals("intervention.execute", intervention_id), transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        if intervention.receipt and intervention.receipt != receipt:
            raise Conflict("The executor gave another receipt before.", code="receipt_differs")
        if execution_of(step_statuses(intervention)) is not Execution.UNKNOWN:
            return
        intervention.receipt = receipt
        detail = f"receipt {receipt}"
        step_save(intervention, Step.EXECUTE, StepStatus.DONE, detail, fields=["receipt"])
        record(intervention, f"{SUBJECT}.execution_done", receipt=receipt)
        failpoint("execute_intervention.uncommitted")


def execution_refuse(*, intervention_id: UUID | str, detail: str) -> None:
    """The executor said no, for good: nothing was done and nothing will be. Idempotent."""
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        if execution_of(step_statuses(intervention)) is Execution.UNKNOWN:
            step_save(intervention, Step.EXECUTE, StepStatus.FAILED, detail)
            record(intervention, f"{SUBJECT}.execution_refused", detail=detail)


def roll_back_begin(*, intervention_id: UUID | str) -> Reversal:
    """Note that a reversal is about to be asked for: from here on the saga only goes backwards.

    Raises Conflict `already_settled`.
    """
    with _refusals("intervention.roll_back", intervention_id), transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        check_unsettled(intervention)
        steps = step_statuses(intervention)
        execution = execution_of(steps)
        reversible = intervention.policy.reversible
        refused = steps.get(Step.ROLL_BACK) == StepStatus.FAILED
        needed = execution is Execution.UNKNOWN or (
            execution is Execution.DONE and reversible and not refused
        )
        if needed:
            step_save(intervention, Step.ROLL_BACK, StepStatus.RUNNING)
        return Reversal(
            intervention_id=str(intervention.pk),
            needed=needed,
            void_only=not reversible,
            execution=execution,
            receipt=intervention.receipt,
        )


def roll_back_finish(
    *, intervention_id: UUID | str, execution: Execution, receipt: str = ""
) -> None:
    """What the executor answered: `reversed`, `refused` (voided before it took effect), or `done`:
    it was executed and stands, with this receipt. Idempotent."""
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        if step_statuses(intervention).get(Step.ROLL_BACK) != StepStatus.RUNNING:
            return
        if execution is Execution.DONE:
            intervention.receipt = receipt or intervention.receipt
            step_put(intervention, Step.EXECUTE, StepStatus.DONE, f"receipt {intervention.receipt}")
            step_put(intervention, Step.ROLL_BACK, StepStatus.FAILED, "It was executed and stands.")
        elif execution is Execution.REVERSED:
            step_put(intervention, Step.EXECUTE, StepStatus.COMPENSATED)
            step_put(intervention, Step.ROLL_BACK, StepStatus.DONE)
            if features_revert(intervention):
                step_put(intervention, Step.UPDATE_FEATURE_STORE, StepStatus.COMPENSATED)
        else:
            step_put(intervention, Step.EXECUTE, StepStatus.FAILED, "Voided before it took effect.")
            step_put(intervention, Step.ROLL_BACK, StepStatus.DONE)
        row_save(intervention, "receipt")
        record(intervention, f"{SUBJECT}.rolled_back", execution=execution)
        failpoint("roll_back.uncommitted")


def roll_back_refuse(*, intervention_id: UUID | str, detail: str) -> None:
    """The executor will not undo it. With a receipt the execution stands.

    Raises Conflict `execution_unknown` without one: a person has to find out.
    """
    with _refusals("intervention.roll_back", intervention_id), transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        steps = step_statuses(intervention)
        if steps.get(Step.ROLL_BACK) != StepStatus.RUNNING:
            return
        if execution_of(steps) is not Execution.DONE:
            raise Conflict(
                f"The executor neither undoes it nor says whether it was done: {detail}",
                code="execution_unknown",
            )
        step_save(intervention, Step.ROLL_BACK, StepStatus.FAILED, detail)
        record(intervention, f"{SUBJECT}.reversal_refused", detail=detail)


def _refusals(action: str, intervention_id: UUID | str) -> AbstractContextManager[None]:
    return refusals(
        action=action,
        subject_type=SUBJECT,
        subject_id=str(intervention_id),
        by=ENGINE,
        via="engine",
    )
