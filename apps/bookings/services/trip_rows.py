"""The process of a trip: its locked row, and the workflow that accompanies it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.audit.contracts import Actor
from apps.audit.services import entry_record
from apps.bookings.contracts import TASK_QUEUE, TRIP, TripStatus
from apps.bookings.contracts.trips import FLEET_WORKFLOW, SIGNAL_TRIP_CHANGED, FleetRef
from apps.bookings.models import Trip
from apps.bookings.models.trips import CURRENT
from apps.common.errors import Conflict, NotFound
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.contracts import RunStatus
from apps.engine.process import Carrier, Process
from apps.engine.services import timings
from apps.live.broadcast import broadcast

CARRIER: Carrier[Trip] = Carrier(
    FLEET_WORKFLOW,
    lambda trip, again: FleetRef(str(trip.pk), timings()),
    process.WAITING_BACKSTOP,
)

FLEET = Process(
    subject=TRIP,
    title=_("Trip"),
    noun="trip",
    missing=_("There is no such trip."),
    opens=_("Open the trip"),
    model=Trip,
    queue=TASK_QUEUE,
    url_name="trip",
    carriers=(CARRIER,),
    needs=lambda trip: None if trip.has_ended else CARRIER,
    open_rows=lambda: Trip.objects.filter(status__in=CURRENT),
    # Signals name it by the trip.
    keeps_id=lambda trip: True,
    list_topics=("trips",),
    # What is due for a trip is in its row: a new run goes on with it.
    forgotten=(RunStatus.LOST, RunStatus.FAILED, RunStatus.TERMINATED, RunStatus.TIMED_OUT),
    most_runs=20,
)


def trip_locked(trip_id: UUID | str, statuses: Sequence[TripStatus] = tuple(TripStatus)) -> Trip:
    """Return the trip under its lock, which the caller's transaction keeps.

    Raises NotFound `trip_not_found`; Conflict `trip_settled` (extra status) unless it has one of
    the statuses.
    """
    rows = Trip.objects.select_for_update(of=("self",), no_key=True)
    key = uuid_of(trip_id)
    trip = rows.select_related("vehicle", "route").filter(pk=key).first() if key else None
    if trip is None:
        raise NotFound(_("There is no such trip."), code="trip_not_found")
    if trip.status not in statuses:
        raise Conflict(
            _("The trip is too far along for this."), code="trip_settled", status=trip.status
        )
    return trip


def trip_changed(trip: Trip, *fields: str, wake: bool = True) -> None:
    """Save the locked trip's fields as its next version, and wake what accompanies it. Joins the
    caller's transaction."""
    trip.version += 1
    trip.save(update_fields=[*fields, "version"])
    trip_announce(trip)
    if wake and trip.workflow_id:
        process.wake(FLEET, trip, signal=SIGNAL_TRIP_CHANGED, event=f"changed:{trip.version}")


def trip_announce(trip: Trip) -> None:
    """Update open pages of this trip and of the list."""
    for topic in ("trips", f"{TRIP}:{trip.pk}"):
        broadcast(topic, id=str(trip.pk), version=trip.version)


def trip_record(trip: Trip, event: str, *, by: Actor | None, via: str, **body: Any) -> None:
    """Write an audit entry about the trip. Joins the caller's transaction."""
    entry_record(
        action=f"{TRIP}.{event}",
        subject_type=TRIP,
        subject_id=trip.pk,
        by=by,
        via=via,
        body=body,
    )


def trip_closed(*, trip_id: UUID | str, workflow_id: str, why: str, as_of: datetime) -> None:
    """Note that nothing accompanies the trip any more; it is started again later. Joins the
    caller's transaction."""
    trip = process.carried(FLEET, trip_id, workflow_id)
    if trip is not None:
        process.record(FLEET, trip, f"{TRIP}.left_alone", detail=why)
