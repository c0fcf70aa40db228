"""Reviews of quarantined events: each waits until a person has decided about its row."""

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.engine.contracts import SignalEnvelope
    from apps.payments import activities
    from apps.payments.contracts import (
        REVIEW_WORKFLOW,
        SIGNAL_REVIEW_DECIDED,
        ReviewFacts,
        ReviewLook,
        ReviewRef,
    )
    from workers.steps import local_step
    from workers.wakeups import Wakeups


@workflow.defn(name=REVIEW_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class DLQReviewWorkflow:
    """Waits until its event is replayed, discarded, sent elsewhere or superseded. The row has the
    decision; a signal only says that there is one."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()
        self._state = ""

    @workflow.run
    async def run(self, ref: ReviewRef) -> ReviewFacts:
        look = ReviewLook(ref.quarantine_id, workflow.info().workflow_id)
        while True:
            self._wakeups.take()
            facts: ReviewFacts = await local_step(
                activities.look_at_quarantined_event, look, timings=ref.timings
            )
            self._state = facts.state
            if not facts.waits:
                return facts
            if workflow.info().is_continue_as_new_suggested():
                # Even if another signal has come: the next run begins with a look.
                workflow.continue_as_new(ref)
            await workflow.wait_condition(self._wakeups.woken)

    @workflow.signal(name=SIGNAL_REVIEW_DECIDED)
    def review_decided(self, envelope: SignalEnvelope) -> None:
        """Somebody has decided about the event."""
        self._wakeups.wake(envelope)

    @workflow.query
    def get_state(self) -> str:
        """The row's state at the last look: `open`, while it waits."""
        return self._state
