"""The clock workflow of requests whose domain's workflow does not keep the clock.

The workflow decides nothing: at each event it calls a tick, and the database says what is due.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from apps.approvals.activities.clock import tick_request
    from apps.approvals.contracts import (
        CLOCK_WORKFLOW,
        SIGNAL_CHANGED,
        ClockRef,
        ClockResult,
        RequestStatus,
        Tick,
        TickInput,
    )
    from apps.engine.contracts import SignalEnvelope
    from workers.approval_wait import until
    from workers.steps import local_step
    from workers.wakeups import Wakeups

#: Pauses before a refused tick (a domain that does not let its request expire) is repeated.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(days=1)


@workflow.defn(name=CLOCK_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class ApprovalClockWorkflow:
    """Reminds, escalates and expires one request; ends with it.

    A signal only wakes the workflow: the request was edited or has ended. A signal that the outbox
    did not send is audited and changes nothing.
    """

    def __init__(self) -> None:
        self._wakeups = Wakeups()

    @workflow.run
    async def run(self, ref: ClockRef) -> ClockResult:
        pause = FIRST_PAUSE
        while True:
            try:
                tick = await self._tick(ref)
                pause, at = FIRST_PAUSE, tick.next_at
            except ApplicationError as refused:
                if refused.type == "not_found":
                    raise
                at, pause = workflow.now() + pause, min(2 * pause, LONGEST_PAUSE)
                workflow.logger.warning("tick.refused", extra={"code": refused.type})
            else:
                if tick.status != RequestStatus.OPEN:
                    return ClockResult(ref.request_id, tick.status)
            if workflow.info().is_continue_as_new_suggested():
                # Even if another signal has come: the next run begins with a tick.
                workflow.continue_as_new(ref)
            await until(self._wakeups.woken, at=at)

    @workflow.signal(name=SIGNAL_CHANGED)
    def request_changed(self, envelope: SignalEnvelope) -> None:
        """The request was edited or has ended."""
        self._wakeups.wake(envelope)

    async def _tick(self, ref: ClockRef) -> Tick:
        tick_input = TickInput(ref.request_id, workflow.now(), self._wakeups.take())
        return await local_step(tick_request, tick_input, timings=ref.timings)
