"""Replays of quarantined events: wave after wave, as fast as the row says."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import RunProgress, SignalEnvelope
    from apps.payments import activities
    from apps.payments.contracts import (
        REPLAY,
        REPLAY_WORKFLOW,
        SIGNAL_REPLAY_CHANGED,
        ReplayFacts,
        ReplayRef,
        ReplayStep,
    )
    from workers.approval_wait import until
    from workers.attributes import mark
    from workers.steps import local_step
    from workers.wakeups import Wakeups


@workflow.defn(name=REPLAY_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class ReplayRunWorkflow:
    """Lets events begin until none waits and none is on its way. The rows have the state; each
    event has a workflow of its own."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._facts = ReplayFacts("pending", runs=False, settled=False)

    @workflow.run
    async def run(self, ref: ReplayRef) -> ReplayFacts:
        mark(REPLAY, ref.run_id)
        step = ReplayStep(ref.run_id, workflow.info().workflow_id)
        while True:
            self._wakeups.take()
            self._facts = await local_step(activities.advance_replay, step, timings=ref.timings)
            if self._facts.settled:
                return self._facts
            if workflow.info().is_continue_as_new_suggested():
                # Even if another signal has come: the next run begins with a look.
                workflow.continue_as_new(ref)
            await self._rest()

    @workflow.signal(name=SIGNAL_REPLAY_CHANGED)
    def replay_changed(self, envelope: SignalEnvelope) -> None:
        """The replay was paused, resumed or cancelled."""
        self._wakeups.wake(envelope)

    @workflow.query
    def progress(self) -> RunProgress:
        """Return the progress at the last look at the rows."""
        return self._facts.progress

    async def _rest(self) -> None:
        if not self._facts.runs:
            await workflow.wait_condition(self._wakeups.woken)
            return
        at = workflow.now() + timedelta(seconds=max(self._facts.wait_seconds, 0.05))
        await until(self._wakeups.woken, at=at)
