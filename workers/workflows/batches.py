"""Batches: one signature, then many payments, a few at a time."""

import asyncio
from datetime import timedelta

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
    from apps.engine.contracts import SAGA_BACKSTOP, RunProgress, SignalEnvelope
    from apps.interventions import activities
    from apps.interventions.contracts import (
        BATCH_SUBJECT,
        BATCH_WORKFLOW,
        EXECUTE_WORKFLOW,
        NOT_MINE,
        SIGNAL_BATCH_CHANGED,
        SIGNAL_SETTLED,
        SUBJECT,
        BatchFacts,
        BatchInput,
        BatchRef,
        BatchRefusal,
        BatchResult,
        BatchStatus,
        InterventionRef,
        PrepareInput,
        ReadyItem,
        StepInput,
        TimedInput,
    )
    from workers.approval_wait import wait_for_decision
    from workers.attributes import mark
    from workers.bounded import BoundedRun
    from workers.children import AlreadyRunning, follow, run_child
    from workers.steps import local_step, remote_step
    from workers.wakeups import Wakeups

EXECUTION_BACKSTOP = timedelta(seconds=SAGA_BACKSTOP)
LONGEST_PAUSE = timedelta(minutes=1)


@workflow.defn(name=BATCH_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class BatchInterventionWorkflow:
    """Opens the request, waits for the signature, then keeps `concurrency` sagas running.

    A decision, pause, resumption or cancellation changes the row in its own transaction; the signal
    only wakes this workflow, which reads the row again. Each saga is a child that outlives this
    one.
    """

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._facts = BatchFacts(BatchStatus.PENDING)

    @workflow.run
    async def run(self, ref: BatchRef) -> BatchResult:
        mark(BATCH_SUBJECT, ref.batch_id)
        payments: BoundedRun[BatchFacts, ReadyItem] = BoundedRun(
            self._wakeups,
            concurrency=ref.concurrency,
            per_run=ref.per_run,
            prepare=lambda limit, known: self._prepare(ref, limit, known),
            carry_out=lambda item: _carry_out(ref, item),
            finish=lambda: self._finish(ref),
            renew=lambda: workflow.continue_as_new(ref),
        )
        try:
            await self._open(ref)
            await self._wait(ref)
            await payments.work(self._facts)
        except (FailureError, asyncio.CancelledError) as failure:
            if not is_cancelled_exception(failure):
                raise
            # A cancellation in Temporal counts like a user's: running payments finish.
            await local_step(activities.cancel_batch, _now(ref), timings=ref.timings)
            await payments.end()
        facts = self._facts
        return BatchResult(ref.batch_id, facts.status, facts.progress, facts.code, facts.detail)

    @workflow.signal(name=SIGNAL_SETTLED)
    def request_settled(self, envelope: SignalEnvelope) -> None:
        """The request was decided."""
        self._wakeups.wake(envelope)

    @workflow.signal(name=SIGNAL_BATCH_CHANGED)
    def batch_changed(self, envelope: SignalEnvelope) -> None:
        """The batch was paused, resumed or cancelled."""
        self._wakeups.wake(envelope)

    @workflow.query
    def progress(self) -> RunProgress:
        """Return the progress at the last look at the row."""
        return self._facts.progress

    # --- the signature ---------------------------------------------------------------------------
    async def _open(self, ref: BatchRef) -> None:
        self._facts = await local_step(activities.read_batch, _now(ref), timings=ref.timings)
        if self._facts.status != BatchStatus.PENDING:
            return  # a later run
        try:
            self._facts = await remote_step(activities.open_batch, _now(ref), timings=ref.timings)
        except ApplicationError as refused:
            if refused.type in NOT_MINE:
                raise
            refusal = BatchRefusal(
                ref.batch_id, refused.type or "step_failed", refused.message, workflow.now()
            )
            self._facts = await local_step(activities.refuse_batch, refusal, timings=ref.timings)

    async def _wait(self, ref: BatchRef) -> None:
        async def read(signals: tuple[str, ...]) -> BatchFacts:
            look = BatchInput(ref.batch_id, workflow.now(), signals)
            return await local_step(activities.read_batch, look, timings=ref.timings)

        async def expire() -> BatchFacts:
            return await local_step(activities.expire_batch, _now(ref), timings=ref.timings)

        self._facts = await wait_for_decision(
            self._wakeups,
            read,
            expire,
            self._facts,
            timings=ref.timings,
            renew=lambda: workflow.continue_as_new(ref),
        )

    # --- the payments ----------------------------------------------------------------------------
    async def _prepare(
        self, ref: BatchRef, limit: int, known: tuple[int, ...]
    ) -> tuple[BatchFacts, tuple[ReadyItem, ...]]:
        look = PrepareInput(ref.batch_id, limit, known, workflow.now())
        ready = await local_step(activities.prepare_items, look, timings=ref.timings)
        self._facts = ready.facts
        return ready.facts, ready.items

    async def _finish(self, ref: BatchRef) -> BatchFacts:
        self._facts = await local_step(activities.finish_batch, _now(ref), timings=ref.timings)
        return self._facts


# --- one payment ----------------------------------------------------------------------------------
async def _carry_out(ref: BatchRef, item: ReadyItem) -> None:
    """Carry out one saga to its end. Its row and the item's row have the outcome."""
    try:
        await run_child(
            EXECUTE_WORKFLOW,
            InterventionRef(item.intervention_id, ref.timings),
            id=f"{SUBJECT}-{item.intervention_id}-execution",
            subject=(SUBJECT, item.intervention_id),
            timings=ref.timings,
            backstop=EXECUTION_BACKSTOP,
        )
        return
    except AlreadyRunning:
        await _follow(ref, item)
    except ChildWorkflowError:
        pass
    note = TimedInput(item.intervention_id, workflow.now())
    await local_step(activities.note_item, note, timings=ref.timings)


async def _follow(ref: BatchRef, item: ReadyItem) -> None:
    """Follow a saga that another run carries, for as long as a saga may take to end and to be
    undone: the batch must not wait for ever for one payment."""

    async def look() -> Waiting:
        step_input = StepInput(item.intervention_id)
        return await local_step(activities.read_decision, step_input, timings=ref.timings)

    await follow(
        look,
        lambda decision: decision.settled or decision.attention,
        within=timedelta(seconds=2 * ref.timings.deadline),
        longest=LONGEST_PAUSE,
    )


# --- helpers -------------------------------------------------------------------------------------
def _now(ref: BatchRef) -> BatchInput:
    return BatchInput(ref.batch_id, workflow.now())
