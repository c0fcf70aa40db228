"""Activities of trips: what is due at their times, and the bookings of cancelled ones."""

from collections.abc import Callable
from typing import Any

from temporalio import activity

from apps.bookings.contracts.trips import (
    CancellationChunk,
    CancellationProgress,
    FleetFacts,
    FleetInput,
    FleetStep,
)
from apps.bookings.services import cancellations, fleet
from apps.engine.heartbeats import heartbeating


@activity.defn(name="read_trip")
def read_trip(input: FleetInput) -> FleetFacts:
    """Return what comes next for the trip, and when."""
    return fleet.fleet_facts(trip_id=input.trip_id)


@activity.defn(name=FleetStep.OPEN_MANIFEST.value)
def open_manifest(input: FleetInput) -> FleetFacts:
    """Open the trip's manifest."""
    return _do(input, FleetStep.OPEN_MANIFEST)


@activity.defn(name=FleetStep.CLOSE_SALES.value)
def close_sales(input: FleetInput) -> FleetFacts:
    """End the sale at the trip's next stop."""
    return _do(input, FleetStep.CLOSE_SALES)


@activity.defn(name=FleetStep.HAND_OVER_MANIFEST.value)
def hand_over_manifest(input: FleetInput) -> FleetFacts:
    """Freeze the manifest, and send it."""
    return _do(input, FleetStep.HAND_OVER_MANIFEST)


@activity.defn(name=FleetStep.CLOSE_TRIP.value)
def close_trip(input: FleetInput) -> FleetFacts:
    """Close the next bookings of the trip, and then the trip."""
    return heartbeating(_do, input, FleetStep.CLOSE_TRIP)


# The loop checks for cancellation between two bookings. An exception raised in the thread could
# interrupt one halfway.
@activity.defn(name="cancel_trip_bookings", no_thread_cancel_exception=True)
def cancel_trip_bookings(input: CancellationChunk) -> CancellationProgress:
    """Cancel and refund the next bookings of a cancelled trip."""
    return heartbeating(
        cancellations.cancellation_run,
        cancellation_id=input.cancellation_id,
        workflow_id=activity.info().workflow_id or "",
        limit=input.limit,
        seconds=input.seconds,
        interrupted=_interrupted,
    )


def _do(input: FleetInput, step: FleetStep) -> FleetFacts:
    return fleet.fleet_do(trip_id=input.trip_id, step=step, as_of=input.as_of)


def _interrupted() -> bool:
    return activity.is_cancelled() or activity.is_worker_shutdown()


ACTIVITIES: list[Callable[..., Any]] = [
    read_trip,
    open_manifest,
    close_sales,
    hand_over_manifest,
    close_trip,
    cancel_trip_bookings,
]
