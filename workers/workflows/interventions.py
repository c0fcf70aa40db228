"""Interventions: the wait for a signature, the saga, and the reconciler.

A workflow decides what to try next. The database decides what is allowed and knows what happened:
every step reads the row again under its lock, and compensation follows the row, not the workflow's
memory.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NoReturn, TypeVar

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from apps.approvals.contracts import Waiting
    from apps.engine.contracts import SAGA_BACKSTOP, SignalEnvelope, Stop
    from apps.interventions import activities
    from apps.interventions.contracts import (
        APPROVAL_WORKFLOW,
        ATTENTION_OPEN,
        EXECUTE_WORKFLOW,
        NOT_MINE,
        RECONCILE_WORKFLOW,
        SIGNAL_CANCEL,
        SIGNAL_SETTLED,
        SUBJECT,
        AttentionInput,
        InterventionRef,
        InterventionResult,
        InterventionStatus,
        OutcomeInput,
        ReconcileInput,
        ReconcileResult,
        SagaFacts,
        SettleInput,
        StepInput,
        TimedInput,
    )
    from workers.approval_wait import wait_for_decision
    from workers.attributes import mark
    from workers.children import AlreadyRunning, follow, run_child
    from workers.saga import CANCELLED, GIVEN_UP, Saga, fail, insist, refusal, undone
    from workers.steps import local_step, remote_step
    from workers.wakeups import Wakeups

R = TypeVar("R")

EXECUTION_BACKSTOP = timedelta(seconds=SAGA_BACKSTOP)
LONGEST_PAUSE = timedelta(minutes=10)
#: The steps after an execution, in words and in order.
_AFTER = {
    "the feature store": activities.update_feature_store,
    "the notification of the stakeholders": activities.notify_stakeholders,
}


@workflow.defn(name=APPROVAL_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class InterventionApprovalWorkflow:
    """Opens the request, waits for days, and starts the saga on approval.

    A decision or a cancellation changes the row in its own transaction; the signal only wakes this
    workflow, which reads the row again. A signal without such a change changes nothing.
    """

    def __init__(self) -> None:
        self._wakeups = Wakeups()

    @workflow.run
    async def run(self, ref: InterventionRef) -> InterventionResult:
        mark(SUBJECT, ref.intervention_id)
        try:
            decision = await self._wait(ref, await self._open(ref))
            if not decision.settled:
                decision = await self._execute(ref)
        except (FailureError, asyncio.CancelledError) as failure:
            if not is_cancelled_exception(failure):
                raise
            decision = await self._cancelled(ref)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if not decision.settled:
            # End as failed, so that a second run with this id may continue from the row.
            fail("unsettled", "It has not ended: look at it, or carry on.")
        end = (decision.status, decision.code, decision.detail)
        return InterventionResult(ref.intervention_id, *end)

    @workflow.signal(name=SIGNAL_SETTLED)
    def request_settled(self, envelope: SignalEnvelope) -> None:
        """The request was decided."""
        self._wakeups.wake(envelope)

    @workflow.signal(name=SIGNAL_CANCEL)
    def cancel_requested(self, envelope: SignalEnvelope) -> None:
        """The requester cancelled."""
        self._wakeups.wake(envelope)

    async def _open(self, ref: InterventionRef) -> Waiting:
        timed = TimedInput(ref.intervention_id, workflow.now())
        try:
            return await local_step(activities.open_approval, timed, timings=ref.timings)
        except ApplicationError as refused:
            if refused.type in NOT_MINE:
                raise
            return _ended_as(await _settle(ref, refusal(refused)))

    async def _wait(self, ref: InterventionRef, decision: Waiting) -> Waiting:
        async def read(signals: tuple[str, ...]) -> Waiting:
            look = StepInput(ref.intervention_id, signals)
            return await local_step(activities.read_decision, look, timings=ref.timings)

        async def expire() -> Waiting:
            timed = TimedInput(ref.intervention_id, workflow.now())
            return await local_step(activities.expire_intervention, timed, timings=ref.timings)

        return await wait_for_decision(
            self._wakeups, read, expire, decision, timings=ref.timings, renew=lambda: _renew(ref)
        )

    async def _execute(self, ref: InterventionRef) -> Waiting:
        try:
            await run_child(
                EXECUTE_WORKFLOW,
                ref,
                id=f"{SUBJECT}-{ref.intervention_id}-execution",
                subject=(SUBJECT, ref.intervention_id),
                timings=ref.timings,
                backstop=EXECUTION_BACKSTOP,
                restarted=ref.restarted,
            )
        except AlreadyRunning:
            return await self._follow(ref)
        except ChildWorkflowError as failure:
            if is_cancelled_exception(failure):
                raise
        # The row has the outcome; if it has not ended, this run must not hide that.
        return await _do(ref, activities.read_decision)

    async def _follow(self, ref: InterventionRef) -> Waiting:
        """Follow a saga that another run carries, until it has ended, a review item is open, or no
        run can be carrying it any more."""

        async def look() -> Waiting:
            self._wakeups.take()
            return await _do(ref, activities.read_decision)

        return await follow(
            look,
            lambda decision: decision.settled or decision.attention,
            within=EXECUTION_BACKSTOP,
            longest=LONGEST_PAUSE,
            woken=self._wakeups.woken,
            renew=lambda: _renew(ref),
        )

    async def _cancelled(self, ref: InterventionRef) -> Waiting:
        """Handle a cancellation in Temporal like a user's: it ends what was not executed."""
        try:
            return _ended_as(await _settle(ref, CANCELLED))
        except ApplicationError as refused:
            if refused.type != "execution_stands":
                raise
            return await self._follow(ref)


@workflow.defn(name=EXECUTE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class ExecuteInterventionWorkflow:
    """The saga: seven steps in order; any failure after the reservation is compensated.

    The deadline is inside the workflow, because a server-side timeout would close the saga without
    compensation. A business failure ends the run as failed, with its code as the type.
    """

    def __init__(self) -> None:
        self._saga = Saga()
        self._given_up = False

    @workflow.run
    async def run(self, ref: InterventionRef) -> InterventionResult:
        mark(SUBJECT, ref.intervention_id)
        return await self._saga.uncancellable(self._run(ref))

    async def _run(self, ref: InterventionRef) -> InterventionResult:
        if ref.restarted:
            facts = await _do(ref, activities.read_saga)
            if facts.attention == "open":
                fail(ATTENTION_OPEN, "A person is asked about it.")
            self._given_up = facts.attention == "rejected"
            if facts.status == InterventionStatus.EXECUTED:
                return await self._carry_on(ref)
        if self._given_up:
            return await self._compensate(ref, GIVEN_UP)
        stop = await self._saga.run_until(self._steps(ref), deadline=ref.timings.deadline)
        if stop is not None:
            return await self._compensate(ref, stop)
        return InterventionResult(ref.intervention_id, InterventionStatus.EXECUTED)

    async def _steps(self, ref: InterventionRef) -> None:
        await _do(ref, activities.prepare_execution)
        self._saga.check()
        step_input = StepInput(ref.intervention_id)
        await remote_step(activities.execute_intervention, step_input, timings=ref.timings)
        self._saga.check()
        await _do(ref, activities.conclude_execution)

    async def _compensate(self, ref: InterventionRef, stop: Stop) -> InterventionResult:
        if stop.code in NOT_MINE:
            fail(stop.code, stop.detail)
        step_input = StepInput(ref.intervention_id)

        async def settle() -> SagaFacts:
            await _do(ref, activities.release_budget)
            return await _settle(ref, stop)

        facts = await undone(
            partial(_do, ref, activities.read_saga),
            partial(remote_step, activities.roll_back, step_input, timings=ref.timings),
            settle,
            partial(_ask, ref),
            patience=ref.timings.deadline,
            name="execution",
        )
        if facts is None:
            return await self._carry_on(ref)
        if facts.status not in {InterventionStatus.EXECUTED, InterventionStatus.CANCELLED}:
            # End as failed if there was no effect, with the code as the type.
            why = facts.detail or f"The intervention is {facts.status}."
            fail(facts.code or facts.status, why)
        return InterventionResult(ref.intervention_id, facts.status, facts.code, facts.detail)

    async def _carry_on(self, ref: InterventionRef) -> InterventionResult:
        """Continue after an execution that stands: the money is spent, so the following steps are
        required; after a person has given up they are skipped."""
        await _do(ref, activities.commit_budget)
        missing = [
            title
            for title, fn in _AFTER.items()
            if self._given_up or await insist(partial(_do, ref, fn))
        ]
        names = ", ".join(missing)
        outcome = OutcomeInput(ref.intervention_id, names)
        await local_step(activities.record_outcome, outcome, timings=ref.timings)
        if missing and not self._given_up:
            stands = f"The payment was executed and stands. Not done after it: {names}."
            await _ask(ref, "steps_missing", stands)
        return InterventionResult(ref.intervention_id, InterventionStatus.EXECUTED)


@workflow.defn(name=RECONCILE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class ReconcileInterventionsWorkflow:
    """Finds reservations whose workflow is closed and settles them. Scheduled."""

    @workflow.run
    async def run(self, input: ReconcileInput) -> ReconcileResult:
        return await remote_step(activities.reconcile_reservations, input, attempts=5)


# --- helpers -------------------------------------------------------------------------------------
def _renew(ref: InterventionRef) -> None:
    """Continue as new. The next run needs no state, because it reads the row."""
    workflow.continue_as_new(ref)


async def _do(ref: InterventionRef, fn: Callable[[StepInput], R]) -> R:
    """Run a short step in the database."""
    return await local_step(fn, StepInput(ref.intervention_id), timings=ref.timings)


def _ended_as(facts: SagaFacts) -> Waiting:
    """Return the row's state after it was settled."""
    return Waiting(facts.status, settled=facts.settled, code=facts.code, detail=facts.detail)


async def _settle(ref: InterventionRef, stop: Stop) -> SagaFacts:
    settle = SettleInput(ref.intervention_id, stop.status, stop.code, stop.detail)
    return await local_step(activities.settle_intervention, settle, timings=ref.timings)


async def _ask(ref: InterventionRef, code: str, detail: str) -> NoReturn:
    """Open a review item and end as failed, so that a run may continue from the row."""
    attention = AttentionInput(ref.intervention_id, code, detail)
    await local_step(activities.raise_attention, attention, timings=ref.timings)
    fail(code, detail)
