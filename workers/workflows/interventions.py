"""Interventions: the wait for a signature, the saga, and the reconciler.

A workflow decides what to try next. What is allowed, and what happened, is the database's word:
every step re-reads the row under its lock, and compensation follows the row, not this memory.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    VersioningBehavior,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from apps.engine import contracts as engine
    from apps.interventions import activities
    from apps.interventions.contracts import (
        APPROVAL_WORKFLOW,
        CANCELLED,
        EXECUTE_WORKFLOW,
        GIVEN_UP,
        NO_ANSWER,
        NOT_MINE,
        RECONCILE_WORKFLOW,
        SIGNAL_CANCEL,
        SIGNAL_SETTLED,
        SUBJECT,
        AttentionInput,
        Decision,
        Execution,
        InterventionRef,
        InterventionResult,
        InterventionStatus,
        OutcomeInput,
        ReconcileInput,
        ReconcileResult,
        SagaFacts,
        SettleInput,
        StepInput,
        Stop,
        TimedInput,
    )
    from workers.approval_wait import wait_for_decision
    from workers.steps import local_step, remote_step

R = TypeVar("R")

SUBJECT_ATTRIBUTE = SearchAttributeKey.for_keyword(engine.SUBJECT_ATTRIBUTE)
KIND_ATTRIBUTE = SearchAttributeKey.for_keyword(engine.KIND_ATTRIBUTE)
#: Server-side, for what nobody will ever end: it closes a saga without compensating.
EXECUTION_BACKSTOP = timedelta(days=7)
#: A step after the execution that is refused is tried again after these pauses.
INSIST_SECONDS = (1, 5)


@workflow.defn(name=APPROVAL_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class InterventionApprovalWorkflow:
    """Opens the request, waits for days, and starts the saga on approval.

    A decision or a cancellation changes the row in its own transaction; the signal only wakes this
    workflow, which then re-reads. A signal without such a change changes nothing.
    """

    def __init__(self) -> None:
        self._commands: set[str] = set()
        self._woken = False

    @workflow.run
    async def run(self, ref: InterventionRef) -> InterventionResult:
        _mark(ref.intervention_id)
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
            # Failed, so that a second run of this id may carry on from the row.
            raise ApplicationError(
                "It has not ended: look at it, or carry on.", type="unsettled", non_retryable=True
            )
        end = (decision.status, decision.code, decision.detail)
        return InterventionResult(ref.intervention_id, *end)

    @workflow.signal(name=SIGNAL_SETTLED)
    def request_settled(self, envelope: engine.SignalEnvelope) -> None:
        """Somebody decided."""
        self._wake(envelope)

    @workflow.signal(name=SIGNAL_CANCEL)
    def cancel_requested(self, envelope: engine.SignalEnvelope) -> None:
        """Somebody took the request back."""
        self._wake(envelope)

    def _wake(self, envelope: engine.SignalEnvelope) -> None:
        if envelope.command not in self._commands:
            self._commands.add(envelope.command)
            self._woken = True

    async def _open(self, ref: InterventionRef) -> Decision:
        timed = TimedInput(ref.intervention_id, workflow.now())
        try:
            return await local_step(activities.open_approval, timed, timings=ref.timings)
        except ApplicationError as refused:
            if refused.type in NOT_MINE:
                raise
            return Decision.of(await _settle(ref, _refusal(refused)))

    async def _wait(self, ref: InterventionRef, decision: Decision) -> Decision:
        while decision.status == InterventionStatus.AWAITING_APPROVAL:
            woken = await wait_for_decision(
                lambda: self._woken,
                request_id=decision.request_id,
                next_at=decision.next_at,
                expires_at=decision.expires_at,
                timings=ref.timings,
            )
            if not woken:
                timed = TimedInput(ref.intervention_id, workflow.now())
                decision = await local_step(
                    activities.expire_intervention, timed, timings=ref.timings
                )
                continue
            self._woken = False
            # Only what changed something is not heard again: a forged signal must not make us deaf
            # to the real one of the same name.
            signals, self._commands = tuple(sorted(self._commands)), set()
            look = StepInput(ref.intervention_id, signals)
            decision = await local_step(activities.read_decision, look, timings=ref.timings)
            if decision.status != InterventionStatus.AWAITING_APPROVAL:
                self._commands |= set(signals)
        return decision

    async def _execute(self, ref: InterventionRef) -> Decision:
        try:
            child = await workflow.start_child_workflow(
                EXECUTE_WORKFLOW,
                ref,
                id=f"{SUBJECT}-{ref.intervention_id}-execution",
                result_type=InterventionResult,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                # Only a run that somebody asked for may repeat a saga that failed.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
                if ref.restarted
                else WorkflowIDReusePolicy.REJECT_DUPLICATE,
                execution_timeout=EXECUTION_BACKSTOP,
                task_timeout=timedelta(seconds=ref.timings.task),
                search_attributes=_attributes(ref.intervention_id),
            )
        except WorkflowAlreadyStartedError:
            return await self._follow(ref)
        try:
            await child
        except ChildWorkflowError as failure:
            if is_cancelled_exception(failure):
                raise
            cause = failure.cause
            if isinstance(cause, ApplicationError) and cause.type == "already_executing":
                # It was started by hand under another id, and that one goes on.
                return await self._follow(ref)
        # The row says how it ended, and why; if it has not, this run must not hide that.
        return await _do(ref, activities.read_decision)

    async def _follow(self, ref: InterventionRef) -> Decision:
        """Another run has the saga: look now and then until it has ended or a person is asked."""
        pause = 1
        decision = await _do(ref, activities.read_decision)
        while not decision.settled and not decision.attention:
            self._woken = False
            try:
                await workflow.wait_condition(lambda: self._woken, timeout=timedelta(seconds=pause))
            except TimeoutError:
                pause = min(pause * 2, 600)
            decision = await _do(ref, activities.read_decision)
        return decision

    async def _cancelled(self, ref: InterventionRef) -> Decision:
        """The engine's own cancellation counts like a person's: it ends what was not executed."""
        try:
            return Decision.of(await _settle(ref, CANCELLED))
        except ApplicationError as refused:
            if refused.type != "execution_stands":
                raise
            return await self._follow(ref)


@workflow.defn(name=EXECUTE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class ExecuteInterventionWorkflow:
    """The saga: seven steps in order; any failure after the reservation is compensated.

    The deadline lies in here, because a timeout of the server would close the saga without
    compensating. A business failure ends the run as failed, with its code as the type.
    """

    def __init__(self) -> None:
        self._stopped = False

    @workflow.run
    async def run(self, ref: InterventionRef) -> InterventionResult:
        _mark(ref.intervention_id)
        if ref.undo:
            return await _to_the_end(self._compensate(ref, GIVEN_UP))
        if (
            ref.restarted
            and (await _do(ref, activities.read_saga)).status == InterventionStatus.EXECUTED
        ):
            return await _to_the_end(self._carry_on(ref))
        stop = await self._until_stopped(ref)
        if stop is not None:
            return await _to_the_end(self._compensate(ref, stop))
        return InterventionResult(ref.intervention_id, InterventionStatus.EXECUTED)

    async def _steps(self, ref: InterventionRef) -> None:
        if not ref.joined:
            await self._steps_one_by_one(ref)
            return
        await _do(ref, activities.prepare_execution)
        self._check()
        await self._call_executor(ref)
        await _do(ref, activities.conclude_execution)

    async def _steps_one_by_one(self, ref: InterventionRef) -> None:
        """As sagas have them that were begun before steps were joined. To be removed when no such
        saga can be open any more (`EXECUTION_BACKSTOP`)."""
        await _do(ref, activities.validate_policy)
        self._check()
        await _do(ref, activities.get_policy_details)
        self._check()
        await _do(ref, activities.reserve_budget)
        self._check()
        await self._call_executor(ref)
        await _do(ref, activities.update_feature_store)
        self._check()
        await _do(ref, activities.notify_stakeholders)
        self._check()
        await local_step(
            activities.record_outcome, OutcomeInput(ref.intervention_id), timings=ref.timings
        )

    async def _call_executor(self, ref: InterventionRef) -> None:
        one = StepInput(ref.intervention_id)
        await remote_step(activities.execute_intervention, one, timings=ref.timings)
        self._check()

    def _check(self) -> None:
        """A step that ends well although it was cancelled is still the last one."""
        if self._stopped:
            raise asyncio.CancelledError

    async def _until_stopped(self, ref: InterventionRef) -> Stop | None:
        """Run the steps; None when all are done, else why not."""
        saga = asyncio.create_task(self._steps(ref))
        stop: Stop | None = None
        try:
            if not await _done_within(saga, ref.timings.deadline):
                late = f"Not done within {ref.timings.deadline:g} s."
                stop = Stop(InterventionStatus.FAILED, "deadline_exceeded", late)
        except asyncio.CancelledError:
            stop = CANCELLED
        self._stopped = stop is not None
        return await _end_of(saga, stop)

    async def _compensate(self, ref: InterventionRef, stop: Stop) -> InterventionResult:
        if stop.code in NOT_MINE:
            raise ApplicationError(stop.detail, type=stop.code, non_retryable=True)
        while True:
            facts = await _do(ref, activities.read_saga)
            if facts.settled:
                return _ended(ref, facts)
            execution = facts.execution
            if execution == Execution.UNKNOWN or (execution == Execution.DONE and facts.reversible):
                execution = await self._roll_back(ref)
            if execution == Execution.DONE:
                return await self._carry_on(ref)
            try:
                await _do(ref, activities.release_budget)
                facts = await _settle(ref, stop)
            except ApplicationError as refused:
                if refused.type != "execution_stands":
                    raise
                # An attempt that was given up for dead has called the executor meanwhile.
                continue
            return _ended(ref, facts)

    async def _roll_back(self, ref: InterventionRef) -> str:
        """What the execution came to. As patient as the saga was; then a person is asked."""
        one = StepInput(ref.intervention_id)
        task = asyncio.create_task(remote_step(activities.roll_back, one, timings=ref.timings))
        in_time = await _done_within(task, ref.timings.deadline)
        stop = await _end_of(task, None if in_time else NO_ANSWER)
        if stop is None:
            return task.result().execution
        if stop.code != "already_settled":
            await self._ask(ref, stop.code, stop.detail)
        return (await _do(ref, activities.read_saga)).execution

    async def _carry_on(self, ref: InterventionRef) -> InterventionResult:
        """The execution stands: the money is spent, and what comes after it is insisted on."""
        await _do(ref, activities.commit_budget)
        todo = (
            ("the feature store", activities.update_feature_store),
            ("the notification of the stakeholders", activities.notify_stakeholders),
        )
        # Given up by a person: what follows an execution is left out.
        missing = [title for title, fn in todo if ref.undo or not await self._insist(ref, fn)]
        names = ", ".join(missing)
        outcome = OutcomeInput(ref.intervention_id, names)
        await local_step(activities.record_outcome, outcome, timings=ref.timings)
        if missing and not ref.undo:
            stands = f"The payment was executed and stands. Not done after it: {names}."
            await self._ask(ref, "steps_missing", stands)
        return InterventionResult(ref.intervention_id, InterventionStatus.EXECUTED)

    async def _insist(self, ref: InterventionRef, fn: Callable[[StepInput], None]) -> bool:
        """Whether the step could be done at last. Outages are waited for, refusals tried again."""
        for pause in (*INSIST_SECONDS, 0):
            try:
                await _do(ref, fn)
                return True
            except ApplicationError as refused:
                workflow.logger.warning("step.refused", extra={"code": refused.type})
                if pause:
                    await asyncio.sleep(pause)
        return False

    async def _ask(self, ref: InterventionRef, code: str, detail: str) -> None:
        """Put it in the inbox and end as failed, so that a run may carry on from the row."""
        attention = AttentionInput(ref.intervention_id, code, detail)
        await local_step(activities.raise_attention, attention, timings=ref.timings)
        raise ApplicationError(detail, type=code, non_retryable=True)


@workflow.defn(name=RECONCILE_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class ReconcileInterventionsWorkflow:
    """Finds reservations whose workflow is closed and settles them. Scheduled."""

    @workflow.run
    async def run(self, input: ReconcileInput) -> ReconcileResult:
        return await remote_step(activities.reconcile_reservations, input, attempts=5)


# --- helpers -------------------------------------------------------------------------------------
async def _done_within(task: "asyncio.Task[Any]", seconds: float) -> bool:
    """Wait for the task; whether it ended in time. It is not cancelled."""
    try:
        await workflow.wait_condition(task.done, timeout=timedelta(seconds=seconds))
    except TimeoutError:
        return False
    return True


async def _to_the_end(work: Coroutine[Any, Any, InterventionResult]) -> InterventionResult:
    """Compensation is not cancelled: a cancellation of the workflow is what it may be there for."""
    task = asyncio.create_task(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                raise


async def _end_of(task: "asyncio.Task[Any]", stop: Stop | None) -> Stop | None:
    """Wait for the task, cancelled if it was stopped. Done in the last moment counts as done, and
    so does a refusal; an attempt that fails then was only not tried again because of the stop."""
    if stop is not None:
        task.cancel()
    outcome: Any = (await asyncio.gather(task, return_exceptions=True))[0]
    if isinstance(outcome, ApplicationError) and not is_cancelled_exception(outcome):
        return stop if stop and not outcome.non_retryable else _refusal(outcome)
    if isinstance(outcome, FailureError | asyncio.CancelledError):
        return stop or Stop(InterventionStatus.FAILED, "step_failed", str(outcome))
    if isinstance(outcome, BaseException):
        raise outcome
    return None


async def _do(ref: InterventionRef, fn: Callable[[StepInput], R]) -> R:
    """A short step in the database."""
    return await local_step(fn, StepInput(ref.intervention_id), timings=ref.timings)


async def _settle(ref: InterventionRef, stop: Stop) -> SagaFacts:
    settle = SettleInput(ref.intervention_id, stop.status, stop.code, stop.detail)
    return await local_step(activities.settle_intervention, settle, timings=ref.timings)


def _refusal(refused: ApplicationError) -> Stop:
    return Stop(InterventionStatus.FAILED, refused.type or "step_failed", refused.message)


def _ended(ref: InterventionRef, facts: SagaFacts) -> InterventionResult:
    """The result of a saga that has ended; failed when it came to nothing."""
    if facts.status not in {InterventionStatus.EXECUTED, InterventionStatus.CANCELLED}:
        raise ApplicationError(
            facts.detail or f"The intervention is {facts.status}.",
            type=facts.code or facts.status,
            non_retryable=True,
        )
    return InterventionResult(ref.intervention_id, facts.status, facts.code, facts.detail)


def _attributes(intervention_id: str) -> TypedSearchAttributes:
    subject = SearchAttributePair(SUBJECT_ATTRIBUTE, f"{SUBJECT}:{intervention_id}")
    return TypedSearchAttributes([subject, SearchAttributePair(KIND_ATTRIBUTE, SUBJECT)])


def _mark(intervention_id: str) -> None:
    """A run that was started by hand carries no attributes; the mirror finds its row by them."""
    if SUBJECT_ATTRIBUTE not in workflow.info().typed_search_attributes:
        wanted = _attributes(intervention_id)
        workflow.upsert_search_attributes([pair.key.value_set(pair.value) for pair in wanted])
