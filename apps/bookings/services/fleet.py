"""What is due for a trip at its times: its manifest, the end of its sale, its end.

The trip's rows say what has been done and what comes next; a workflow only keeps the time. Each
step is done once, and not before it is due, however often it is called.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils.formats import date_format
from django.utils.translation import gettext

from apps.audit.contracts import ENGINE
from apps.bookings.contracts import TRIP, BookingStatus, TripStatus
from apps.bookings.contracts.trips import FleetFacts, FleetStep
from apps.bookings.models import Booking, Manifest, Trip, TripStop
from apps.bookings.selectors import manifest_lines
from apps.bookings.services.revenue import money_keep
from apps.bookings.services.rows import booking_lock
from apps.bookings.services.trip_rows import FLEET, trip_changed, trip_locked, trip_record
from apps.bookings.times import zone_of
from apps.common.errors import Invalid
from apps.engine import process
from apps.notifications.services import mail_queue

HANDED_OVER = timedelta(minutes=30)
OVER_AFTER = timedelta(hours=2)
#: So many bookings are closed in one call.
CHUNK = 100
#: A timer may fire early by a rounding error.
TIMER_SKEW = timedelta(seconds=1)


def fleet_facts(*, trip_id: UUID | str) -> FleetFacts:
    """Return what comes next for the trip, and when. Raises NotFound."""
    rows = Trip.objects.filter(pk=process.id_of(FLEET, trip_id))
    trip = rows.first()
    if trip is None:
        raise process.unknown(FLEET)
    return _facts(trip)


def fleet_do(*, trip_id: UUID | str, step: str, as_of: datetime) -> FleetFacts:
    """Do the step if it is what comes next and due at `as_of`; return what comes next then. Else it
    changes nothing. Raises NotFound."""
    step = FleetStep(step)
    if step is FleetStep.CLOSE_TRIP:
        _travelled(trip_id, as_of=as_of)
    with transaction.atomic(durable=True):
        trip = trip_locked(trip_id)
        facts = _facts(trip)
        due = facts.due_at is not None and facts.due_at <= as_of + TIMER_SKEW
        if facts.step == step and due:
            _DO[step](trip, as_of)
        return _facts(trip)


def _facts(trip: Trip) -> FleetFacts:
    if trip.has_ended:
        return FleetFacts(trip.status)
    stops = list(trip.stops.order_by("n"))
    manifest = trip.manifests.first()
    steps = _steps(trip, stops, manifest)
    due_at, step = min(steps)
    return FleetFacts(trip.status, step, due_at)


def _steps(
    trip: Trip, stops: Sequence[TripStop], manifest: Manifest | None
) -> list[tuple[datetime, FleetStep]]:
    """Return what is not done yet, with its time; the trip's end is left last."""
    if manifest is None:
        return [(trip.created_at, FleetStep.OPEN_MANIFEST)]
    found = []
    # Nobody boards at the last stop.
    if trip.sales_closed < len(stops) - 1:
        before = timedelta(minutes=settings.SALES_CLOSE_MINUTES)
        found.append((stops[trip.sales_closed].departs_at - before, FleetStep.CLOSE_SALES))
    if manifest.handed_at is None:
        found.append((stops[0].departs_at - HANDED_OVER, FleetStep.HAND_OVER_MANIFEST))
    return found or [(stops[-1].arrives_at + OVER_AFTER, FleetStep.CLOSE_TRIP)]


# --- the steps ------------------------------------------------------------------------------------
def _open_manifest(trip: Trip, as_of: datetime) -> None:
    Manifest.objects.create(trip=trip, created_at=as_of)
    trip_record(trip, "manifest_opened", by=ENGINE, via="engine")


def _close_sales(trip: Trip, as_of: datetime) -> None:
    """End the sale at the next stop; at the last one that sells, of the trip."""
    trip.sales_closed += 1
    fields = ["sales_closed"]
    if trip.sales_closed >= trip.stops.count() - 1 and trip.status == TripStatus.OPEN:
        trip.status = TripStatus.CLOSED
        fields.append("status")
    trip_changed(trip, *fields, wake=False)
    trip_record(trip, "sales_closed", by=ENGINE, via="engine", stop=trip.sales_closed)


def _hand_over(trip: Trip, as_of: datetime) -> None:
    """Freeze the manifest as it is, and send it to the operator."""
    manifest = trip.manifests.get()
    manifest.body = manifest_body(trip)
    manifest.handed_at = as_of
    manifest.save(update_fields=["body", "handed_at"])
    told = _mail(trip, manifest)
    trip_changed(trip, wake=False)
    trip_record(
        trip,
        "manifest_handed_over",
        by=ENGINE,
        via="engine",
        riders=len(manifest.body["lines"]),
        sent_to=told,
    )


def _close_trip(trip: Trip, as_of: datetime) -> None:
    """End the trip, once all of its bookings are closed."""
    if _unclosed(trip.pk).exists():
        return
    trip.status = TripStatus.DONE
    trip_changed(trip, "status", wake=False)
    trip_record(trip, "done", by=ENGINE, via="engine")


_DO = {
    FleetStep.OPEN_MANIFEST: _open_manifest,
    FleetStep.CLOSE_SALES: _close_sales,
    FleetStep.HAND_OVER_MANIFEST: _hand_over,
    FleetStep.CLOSE_TRIP: _close_trip,
}


def _travelled(trip_id: UUID | str, *, as_of: datetime) -> None:
    """Turn what was paid into revenue, booking by booking: who is confirmed has travelled."""
    facts = fleet_facts(trip_id=trip_id)
    due = facts.due_at is not None and facts.due_at <= as_of + TIMER_SKEW
    if facts.step != FleetStep.CLOSE_TRIP or not due:
        return
    for pk in list(_unclosed(trip_id).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        with transaction.atomic(durable=True):
            booking = booking_lock(pk, "trip")
            if booking.status == BookingStatus.CONFIRMED:
                money_keep(booking, event="travelled", travelled=True, as_of=as_of)


def _unclosed(trip_id: Any) -> Any:
    kept = F("refunded") + F("recognised")
    rows = Booking.objects.filter(trip=trip_id, status=BookingStatus.CONFIRMED)
    return rows.exclude(charged=kept)


# --- the manifest ---------------------------------------------------------------------------------
def manifest_body(trip: Trip) -> dict[str, Any]:
    """Return the manifest as it is kept: who travels on which seat, from where to where."""
    return {
        "vehicle": trip.vehicle.code,
        "route": trip.route.code,
        "service_date": trip.service_date.isoformat(),
        "lines": [
            {
                "seat": line.seat,
                "from": line.board,
                "to": line.leave,
                "rider": line.rider,
                "booking": line.booking,
            }
            for line in manifest_lines(trip)
        ],
    }


def _mail(trip: Trip, manifest: Manifest) -> str:
    """Queue the manifest for the operator of the vehicle; return to whom."""
    address = trip.vehicle.operator_email
    if not address:
        return ""
    departs = date_format(trip.departs_at.astimezone(zone_of(trip.route.zone)), "DATETIME_FORMAT")
    lines = [
        gettext("Seat {seat}, {board} to {leave}: {rider}").format(
            seat=line["seat"], board=line["from"], leave=line["to"], rider=line["rider"]
        )
        for line in manifest.body["lines"]
    ]
    text = gettext("Bus: {bus}\nDeparture: {departs}\n\n{lines}").format(
        bus=trip.vehicle.code,
        departs=departs,
        lines="\n".join(lines) or gettext("Nobody has booked."),
    )
    try:
        mail_queue(
            key=f"{TRIP}:{trip.pk}:manifest:{manifest.version}",
            address=address,
            name=trip.vehicle.name,
            title=gettext("Manifest of {route}").format(route=trip.route.name),
            text=text,
            by=ENGINE,
            subject_type=TRIP,
            subject_id=trip.pk,
        )
    except Invalid:
        return ""
    return address
