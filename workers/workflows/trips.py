"""Trips: what is due at their times, and the bookings of cancelled ones.

The rows have the state; the workflows only keep the time and an activity working.
"""

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from apps.bookings.activities import trips as activities
    from apps.bookings.contracts import TRIP
    from apps.bookings.contracts.trips import (
        CANCELLATION,
        CANCELLATION_WORKFLOW,
        FLEET_ALIAS,
        FLEET_WORKFLOW,
        SIGNAL_TRIP_CHANGED,
        CancellationChunk,
        CancellationProgress,
        CancellationRef,
        FleetFacts,
        FleetInput,
        FleetRef,
        FleetStep,
    )
    from apps.engine.contracts import SignalEnvelope
    from workers.attributes import mark
    from workers.steps import local_step, remote_step
    from workers.wakeups import Wakeups

STEPS: dict[str, Callable[[FleetInput], FleetFacts]] = {
    FleetStep.OPEN_MANIFEST.value: activities.open_manifest,
    FleetStep.CLOSE_SALES.value: activities.close_sales,
    FleetStep.HAND_OVER_MANIFEST.value: activities.hand_over_manifest,
    FleetStep.CLOSE_TRIP.value: activities.close_trip,
}
#: A chunk ends well before the activity's timeout, so that the last item has time too.
SHARE_OF_THE_TIME = 0.4
#: The pause after a call that got nowhere, such as one that a worker's shutdown cut short.
PAUSE = timedelta(seconds=1)


@workflow.defn(name=FLEET_WORKFLOW, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class FleetWorkflow:
    """Accompanies a trip until it is over. A signal wakes it: the trip's times have changed."""

    def __init__(self) -> None:
        self._wakeups = Wakeups()

    @workflow.run
    async def run(self, ref: FleetRef) -> FleetFacts:
        mark(TRIP, ref.tripId)
        facts = await self._look(ref)
        while facts.step and facts.due_at is not None:
            wait = facts.due_at - workflow.now()
            if wait > timedelta(0):
                await self._sleep(wait)
                facts = await self._look(ref)
                if facts.due_at is None or facts.due_at > workflow.now():
                    continue
            now = FleetInput(ref.tripId, workflow.now())
            step, before = STEPS[facts.step], facts
            if facts.step == FleetStep.CLOSE_TRIP:
                facts = await remote_step(step, now, timings=ref.timings)
            else:
                facts = await local_step(step, now, timings=ref.timings)
            if facts == before:
                await workflow.sleep(PAUSE)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(ref)
        return facts

    @workflow.signal(name=SIGNAL_TRIP_CHANGED)
    def trip_changed(self, envelope: SignalEnvelope) -> None:
        """The trip was delayed, cancelled, or given another vehicle."""
        self._wakeups.wake(envelope)

    async def _look(self, ref: FleetRef) -> FleetFacts:
        self._wakeups.take()
        now = FleetInput(ref.tripId, workflow.now())
        return await local_step(activities.read_trip, now, timings=ref.timings)

    async def _sleep(self, wait: timedelta) -> None:
        """Sleep so long, or until a signal."""
        try:
            await workflow.wait_condition(self._wakeups.woken, timeout=wait)
        except TimeoutError:
            pass


@workflow.defn(name=FLEET_ALIAS, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class FleetAlias(FleetWorkflow):
    """The same under the name that earlier clients start."""

    @workflow.run
    async def run(self, ref: FleetRef) -> FleetFacts:
        return await FleetWorkflow.run(self, ref)


@workflow.defn(name=CANCELLATION_WORKFLOW, versioning_behavior=VersioningBehavior.PINNED)
class TripCancellationWorkflow:
    """Runs an activity for each chunk of bookings, whatever the outcomes, so that the history stays
    small."""

    @workflow.run
    async def run(self, ref: CancellationRef) -> CancellationProgress:
        mark(CANCELLATION, ref.cancellation_id)
        seconds = ref.timings.activity * SHARE_OF_THE_TIME
        chunk = CancellationChunk(ref.cancellation_id, ref.chunk, seconds)
        settled = 0
        while True:
            progress = await remote_step(
                activities.cancel_trip_bookings, chunk, timings=ref.timings
            )
            if progress.over:
                return progress
            if progress.done + progress.failed == settled:
                await workflow.sleep(PAUSE)
            settled = progress.done + progress.failed
