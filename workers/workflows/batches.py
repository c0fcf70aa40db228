"""Batches: one signature, then many payments, a few at a time."""

from datetime import timedelta
from functools import partial

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from apps.approvals.contracts import RunFacts, RunPrepare, Waiting
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
        BatchRef,
        BatchResult,
        InterventionRef,
        ReadyItem,
        StepInput,
        TimedInput,
    )
    from workers.attributes import mark
    from workers.children import AlreadyRunning, follow, run_child
    from workers.signed_run import SignedRun
    from workers.steps import local_step

EXECUTION_BACKSTOP = timedelta(seconds=SAGA_BACKSTOP)
LONGEST_PAUSE = timedelta(minutes=1)


@workflow.defn(name=BATCH_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class BatchInterventionWorkflow:
    """A signed run (`workers.signed_run`) of sagas. Each is a child that outlives this workflow."""

    def __init__(self) -> None:
        self._run = SignedRun(activities.BATCH, not_mine=NOT_MINE)

    @workflow.run
    async def run(self, ref: BatchRef) -> BatchResult:
        mark(BATCH_SUBJECT, ref.batch_id)
        facts = await self._run.work(
            ref.batch_id,
            timings=ref.timings,
            concurrency=ref.concurrency,
            per_run=ref.per_run,
            prepare=partial(_prepare, ref),
            carry_out=partial(_carry_out, ref),
            renew=lambda: workflow.continue_as_new(ref),
        )
        return BatchResult(ref.batch_id, facts.status, facts.progress, facts.code, facts.detail)

    @workflow.signal(name=SIGNAL_SETTLED)
    def request_settled(self, envelope: SignalEnvelope) -> None:
        """The request was decided."""
        self._run.wakeups.wake(envelope)

    @workflow.signal(name=SIGNAL_BATCH_CHANGED)
    def batch_changed(self, envelope: SignalEnvelope) -> None:
        """The batch was paused, resumed or cancelled."""
        self._run.wakeups.wake(envelope)

    @workflow.query
    def progress(self) -> RunProgress:
        """Return the progress at the last look at the row."""
        return self._run.facts.progress


# --- the payments ---------------------------------------------------------------------------------
async def _prepare(
    ref: BatchRef, limit: int, known: tuple[int, ...]
) -> tuple[RunFacts, tuple[ReadyItem, ...]]:
    look = RunPrepare(ref.batch_id, limit, known, workflow.now())
    ready = await local_step(activities.prepare_items, look, timings=ref.timings)
    return ready.facts, ready.items


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
