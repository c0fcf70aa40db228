"""Batches: one signature, then payment after payment, a few at a time.

The rows know what waits, what is under way and what came of it; this keeps that many sagas going.
"""

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
    from apps.engine.contracts import SAGA_BACKSTOP, SignalEnvelope
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
        BatchProgress,
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
    from workers.children import AlreadyRunning, follow, run_child
    from workers.steps import local_step, remote_step
    from workers.wakeups import Wakeups

EXECUTION_BACKSTOP = timedelta(seconds=SAGA_BACKSTOP)
#: Before it continues as new a run waits so long for its sagas; the next one finds those left.
DRAIN = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=1)


@workflow.defn(name=BATCH_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class BatchInterventionWorkflow:
    """Opens the request, waits for the signature, then keeps `concurrency` sagas under way.

    Whoever decides, pauses, resumes or cancels changes the row in a transaction; the signal only
    wakes this workflow, which then re-reads. Each saga is a child that outlives this one.
    """

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._facts = BatchFacts(BatchStatus.PENDING)
        self._begun = 0

    @workflow.run
    async def run(self, ref: BatchRef) -> BatchResult:
        mark(BATCH_SUBJECT, ref.batch_id)
        try:
            await self._open(ref)
            await self._wait(ref)
            await self._work(ref)
        except (FailureError, asyncio.CancelledError) as failure:
            if not is_cancelled_exception(failure):
                raise
            # The engine's own cancellation counts like a person's; what is under way ends.
            await local_step(activities.cancel_batch, _now(ref), timings=ref.timings)
            await self._end(ref)
        facts = self._facts
        return BatchResult(ref.batch_id, facts.status, facts.progress, facts.code, facts.detail)

    @workflow.signal(name=SIGNAL_SETTLED)
    def request_settled(self, envelope: SignalEnvelope) -> None:
        """Somebody decided."""
        self._wakeups.wake(envelope)

    @workflow.signal(name=SIGNAL_BATCH_CHANGED)
    def batch_changed(self, envelope: SignalEnvelope) -> None:
        """Somebody paused, resumed or cancelled it."""
        self._wakeups.wake(envelope)

    @workflow.query
    def progress(self) -> BatchProgress:
        """As it was when the row was last looked at."""
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
    async def _work(self, ref: BatchRef) -> None:
        """Until nothing waits and nothing is under way, or the batch was ended."""
        while not self._facts.settled:
            self._wakeups.take()
            self._collect()
            if self._begun >= ref.per_run or workflow.info().is_continue_as_new_suggested():
                await self._hand_over(ref)
            free = ref.concurrency - len(self._running)
            look = PrepareInput(ref.batch_id, free, tuple(sorted(self._running)), workflow.now())
            ready = await local_step(activities.prepare_items, look, timings=ref.timings)
            self._facts = ready.facts
            for item in ready.items:
                self._begin(ref, item)
            await self._go_on(ref, nothing_ready=bool(free) and not ready.items)
        await self._end(ref)

    async def _go_on(self, ref: BatchRef, *, nothing_ready: bool) -> None:
        """Wait for what makes another look worth it."""
        if self._facts.status == BatchStatus.RUNNING:
            if nothing_ready and not self._running:
                self._facts = await local_step(
                    activities.finish_batch, _now(ref), timings=ref.timings
                )
                return
            # Several at a time: a look for each that ends would be a transaction more for each.
            left = 0 if nothing_ready else ref.concurrency - max(1, ref.concurrency // 3)
            await workflow.wait_condition(lambda: self._wakeups.woken() or self._alive <= left)
        elif self._facts.status == BatchStatus.PAUSED:
            if self._running:
                # Once more when the last has ended, for the pages that show it.
                await workflow.wait_condition(lambda: self._wakeups.woken() or not self._alive)
            else:
                await workflow.wait_condition(self._wakeups.woken)

    @property
    def _alive(self) -> int:
        return sum(not task.done() for task in self._running.values())

    def _collect(self) -> None:
        """Forget those that have ended; a failure of our own ends the run."""
        for number, task in list(self._running.items()):
            if task.done():
                del self._running[number]
                task.result()

    async def _end(self, ref: BatchRef) -> None:
        """What was under way when it was ended comes to its end, and counts."""
        await workflow.wait_condition(lambda: not self._alive)
        self._collect()
        self._facts = await local_step(activities.finish_batch, _now(ref), timings=ref.timings)

    async def _hand_over(self, ref: BatchRef) -> None:
        """The next run goes on from the rows: it has nothing to be told."""
        try:
            await workflow.wait_condition(lambda: not self._alive, timeout=DRAIN)
        except TimeoutError:
            workflow.logger.info("batch.hands_over", extra={"under_way": self._alive})
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(ref)

    def _begin(self, ref: BatchRef, item: ReadyItem) -> None:
        self._begun += 1
        self._running[item.number] = asyncio.create_task(self._carry_out(ref, item))

    async def _carry_out(self, ref: BatchRef, item: ReadyItem) -> None:
        """One saga to its end. What came of it stands in its row, and in the item's."""
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
            await self._follow(ref, item)
        except ChildWorkflowError:
            pass
        note = TimedInput(item.intervention_id, workflow.now())
        await local_step(activities.note_item, note, timings=ref.timings)

    async def _follow(self, ref: BatchRef, item: ReadyItem) -> None:
        """Another run has the saga: for as long as a saga may take to end and to be undone. The
        batch does not wait for ever for one of its payments."""

        async def look() -> Waiting:
            one = StepInput(item.intervention_id)
            return await local_step(activities.read_decision, one, timings=ref.timings)

        await follow(
            look,
            lambda decision: decision.settled or decision.attention,
            within=timedelta(seconds=2 * ref.timings.deadline),
            longest=LONGEST_PAUSE,
        )


# --- helpers -------------------------------------------------------------------------------------
def _now(ref: BatchRef) -> BatchInput:
    return BatchInput(ref.batch_id, workflow.now())
