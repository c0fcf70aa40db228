"""Trips: opened with copies of their vehicle's seats, delayed, given another vehicle, and found.

Lock order: the route and the vehicle, then the trip, then reservations. Reservations of the trip
take its row's lock too (`services.seats`), so nothing is sold while a trip is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery

from apps.audit.contracts import Actor
from apps.audit.services import refusals
from apps.bookings.contracts import ACTIVE, TRIP, ReservationStatus, TripStatus
from apps.bookings.models import Fare, Reservation, Route, Trip, TripSeat, TripStop, Vehicle
from apps.bookings.models.cancellations import NOT_STOPPED
from apps.bookings.services.network import segment_stops
from apps.bookings.services.trip_rows import (
    FLEET,
    trip_announce,
    trip_changed,
    trip_locked,
    trip_record,
)
from apps.bookings.times import Clocks, Times, check_rising, times_of
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.identifiers import new_id, uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.validation import clean_reason
from apps.engine import process

#: A delay is at most two days.
MOST_DELAY_MINUTES = 2 * 24 * 60
#: Statuses in which a trip can change: until it is over.
CHANGEABLE = (TripStatus.DRAFT, TripStatus.OPEN, TripStatus.CLOSED)


@dataclass(frozen=True)
class FoundTrip:
    """A trip on which the segment is on sale now: the places of its stops, its fare (major units),
    and when it leaves the boarding stop. `trip` has its vehicle and route."""

    trip: Trip
    from_n: int
    to_n: int
    fare: Decimal
    currency: str
    boards_at: datetime


def trip_open(
    *,
    route: str,
    vehicle: str,
    service_date: date,
    clocks: Sequence[Clocks],
    by: Actor | None,
    via: str,
) -> tuple[Trip, bool]:
    """Open a trip for sale, with a copy of the vehicle's seats; return it, and whether it is new.

    `clocks`: when it is at each stop of the route, in the route's zone. The same trip again, also
    concurrently, returns the first one as it is now. Raises, each audited: NotFound
    `route_not_found`, `vehicle_not_found`; Invalid `time_invalid`, `day_invalid`,
    `times_out_of_order`, `stops_invalid` (not as many times as stops); Conflict `vehicle_busy` when
    the vehicle departs then for another trip.
    """
    about = _about("open")
    with refusals(**about, by=by, via=via), transaction.atomic(durable=True):
        way = Route.objects.select_for_update().filter(code=route).first()
        if way is None:
            raise NotFound(_("There is no such route."), code="route_not_found")
        bus = _vehicle_locked(vehicle)
        stops = list(way.stops.order_by("n"))
        if len(clocks) != len(stops):
            raise Invalid(
                filled(_("The route has {count} stops; give the times of each."), count=len(stops)),
                code="stops_invalid",
            )
        times = times_of(service_date, [Clocks(*one) for one in clocks], way.zone)
        departs = times[0].departs
        known = bus.trips.filter(departs_at=departs).exclude(status=TripStatus.CANCELLED).first()
        if known is not None:
            if (known.route_id, known.service_date) != (way.pk, service_date):
                raise _busy(bus)
            return known, False
        identifier = new_id()
        trip = Trip.objects.create(
            id=identifier,
            workflow_id=process.workflow_id_of(FLEET, identifier),
            route=way,
            vehicle=bus,
            service_date=service_date,
            departs_at=departs,
            status=TripStatus.OPEN,
        )
        TripStop.objects.bulk_create(
            TripStop(
                trip=trip,
                n=stop.n,
                stop_id=stop.stop_id,
                arrives_at=at.arrives,
                departs_at=at.departs,
            )
            for stop, at in zip(stops, times, strict=True)
        )
        _copy_seats(trip, bus, blocked=set())
        body = {"route": way.code, "vehicle": bus.code, "service_date": service_date.isoformat()}
        trip_record(trip, "opened", by=by, via=via, **body)
        process.start(FLEET, trip)
        trip_announce(trip)
    return trip, True


def vehicle_swap(
    *,
    trip_id: UUID | str,
    vehicle: str,
    by: Actor | None,
    via: str,
    reason: str = "",
    as_of: datetime,
) -> Trip:
    """Make the trip with another vehicle, and take over its seats; the same one again takes over
    what changed of its seats.

    Sold and held seats keep their numbers; a seat that was blocked stays so. Raises, each audited:
    NotFound `trip_not_found`, `vehicle_not_found`; Invalid `reason_invalid`; Conflict
    `trip_settled` for a trip that has left its first stop by `as_of` or is over, `vehicle_busy`,
    `seats_taken` (extra seats) when the other vehicle lacks a seat that is sold or held.
    """
    about = _about("swap_vehicle", trip_id)
    with refusals(**about, by=by, via=via), transaction.atomic(durable=True):
        reason = clean_reason(reason)
        bus = _vehicle_locked(vehicle)
        trip = trip_locked(trip_id, CHANGEABLE)
        if trip.departs_at <= as_of:
            raise Conflict(
                _("The trip has left its first stop. If it is late, change its times first."),
                code="trip_settled",
                status=trip.status,
            )
        places = set(bus.seats.values_list("number", "row", "col"))
        if trip.vehicle_id == bus.pk and places == set(
            trip.seats.values_list("number", "row", "col")
        ):
            return trip
        numbers = {number for number, _row, _col in places}
        # A hold that has ended keeps no seat; expired it cannot be paid for either.
        kept = Reservation.objects.filter(trip=trip)
        kept.filter(status=ReservationStatus.HELD, expires_at__lte=as_of).update(
            status=ReservationStatus.EXPIRED
        )
        taken = kept.filter(status__in=ACTIVE)
        lost = sorted(set(taken.values_list("seat_number", flat=True)) - numbers)
        if lost:
            raise Conflict(
                filled(
                    _("{vehicle} lacks seats that are taken: {seats}."),
                    vehicle=bus.code,
                    seats=", ".join(map(str, lost)),
                ),
                code="seats_taken",
                seats=lost,
            )
        blocked = set(trip.seats.filter(blocked=True).values_list("number", flat=True))
        trip.seats.all().delete()
        _copy_seats(trip, bus, blocked=blocked)
        before, trip.vehicle = trip.vehicle.code, bus
        _save(trip, bus, "vehicle")
        body = {"before": before, "vehicle": bus.code, "reason": reason}
        trip_record(trip, "vehicle_swapped", by=by, via=via, **body)
    return trip


def trip_delay(
    *,
    trip_id: UUID | str,
    minutes: int,
    from_n: int = 1,
    version: int | None,
    by: Actor | None,
    via: str,
    reason: str = "",
) -> Trip:
    """Make the trip leave its stops later by so many minutes, or earlier if negative, from the stop
    at place `from_n` on; it also arrives later at those after it, and is on sale again from there.

    `version`: that of the trip as the caller saw it, so that a repeated call does not delay it
    twice; None: whatever it is. Wakes the workflow that accompanies the trip. Raises, each audited:
    NotFound `trip_not_found`; Invalid `minutes_invalid`, `reason_invalid`, `stops_invalid` (no such
    place), `times_out_of_order`; Conflict `trip_settled`, `version_changed`, `vehicle_busy`.
    """
    about = _about("delay", trip_id)
    with refusals(**about, by=by, via=via), transaction.atomic(durable=True):
        if not isinstance(minutes, int) or not 0 < abs(minutes) <= MOST_DELAY_MINUTES:
            raise Invalid(_("A delay is at most two days, in minutes."), code="minutes_invalid")
        reason = clean_reason(reason)
        trip = trip_locked(trip_id, CHANGEABLE)
        if version is not None and trip.version != version:
            raise Conflict(
                _("The trip was changed meanwhile: look at it again."),
                code="version_changed",
                version=trip.version,
            )
        stops = list(trip.stops.order_by("n"))
        if not 1 <= from_n <= len(stops):
            raise Invalid(_("The trip has no such stop."), code="stops_invalid")
        later = timedelta(minutes=minutes)
        for stop in stops[from_n - 1 :]:
            stop.departs_at += later
            # It comes to the first one as before, unless the trip begins there.
            if stop.n > from_n or stop.n == 1:
                stop.arrives_at += later
        check_rising([Times(stop.arrives_at, stop.departs_at) for stop in stops])
        TripStop.objects.bulk_update(stops, ["arrives_at", "departs_at"])
        trip.departs_at = stops[0].departs_at
        # What it leaves later is sold again until then, unless the trip is being cancelled.
        trip.sales_closed = min(trip.sales_closed, from_n - 1)
        stopped = trip.cancellations.filter(status__in=NOT_STOPPED).exists()
        if trip.status == TripStatus.CLOSED and trip.sales_closed < len(stops) - 1 and not stopped:
            trip.status = TripStatus.OPEN
        _save(trip, trip.vehicle, "departs_at", "sales_closed", "status")
        trip_record(trip, "delayed", by=by, via=via, minutes=minutes, stop=from_n, reason=reason)
    return trip


def find_trip(
    *,
    bus_id: str,
    segment: str,
    trip_id: UUID | str | None = None,
    fare: Decimal | None = None,
    as_of: datetime,
) -> FoundTrip:
    """Return the vehicle's next open trip that covers the segment and still sells it, or that trip
    if it is named.

    Raises NotFound `vehicle_not_found`, `trip_not_found` (also of another vehicle); Invalid
    `segment_invalid` when its trips do not go that way, or have no fare for it; Conflict
    `no_open_trip`, `sales_closed` from SALES_CLOSE_MINUTES before the departure of the boarding
    stop, `fare_differs` (extra fare, currency) when `fare` is not the tariff's.
    """
    first, last = segment_stops(segment)
    vehicle = _vehicle(Vehicle.objects.all(), bus_id)
    known = Trip.objects.filter(vehicle=vehicle)
    if trip_id is not None:
        key = uuid_of(trip_id)
        known = known.filter(pk=key) if key else known.none()
    trips = known.filter(status=TripStatus.OPEN)
    boards = _boardings(trips, first, last)
    closes = as_of + timedelta(minutes=settings.SALES_CLOSE_MINUTES)
    found = boards.filter(departs_at__gt=closes).order_by("departs_at").first()
    if found is None:
        if trip_id is not None and not known.exists():
            raise NotFound(_("There is no such trip."), code="trip_not_found")
        raise _not_sold(trips, boards, segment)
    found.trip.vehicle = vehicle
    tariff = Fare.objects.filter(route=found.trip.route_id, from_n=found.n, to_n=found.to_n).first()
    if tariff is None:
        raise _no_segment(segment)
    currency = found.trip.route.currency
    if fare is not None and fare != tariff.amount:
        raise Conflict(
            filled(
                _("The fare from {first} to {last} is {amount}."),
                first=first,
                last=last,
                amount=f"{currency} {exact(tariff.amount, currency)}",
            ),
            code="fare_differs",
            fare=exact(tariff.amount, currency),
            currency=currency,
        )
    return FoundTrip(found.trip, found.n, found.to_n, tariff.amount, currency, found.departs_at)


# --- helpers -------------------------------------------------------------------------------------
def _about(verb: str, trip_id: Any = "") -> dict[str, Any]:
    return {"action": f"{TRIP}.{verb}", "subject_type": TRIP, "subject_id": str(trip_id)[:80]}


def _vehicle(rows: "QuerySet[Vehicle]", code: str) -> Vehicle:
    known = isinstance(code, str) and "\x00" not in code
    vehicle = rows.filter(code=code).first() if known else None
    if vehicle is None:
        raise NotFound(_("There is no such vehicle."), code="vehicle_not_found")
    return vehicle


def _vehicle_locked(code: str) -> Vehicle:
    """Return the vehicle, whose seats do not change until the caller commits."""
    return _vehicle(Vehicle.objects.select_for_update(), code)


def _copy_seats(trip: Trip, vehicle: Vehicle, *, blocked: set[int]) -> None:
    TripSeat.objects.bulk_create(
        TripSeat(trip=trip, number=number, row=row, col=col, blocked=number in blocked)
        for number, row, col in vehicle.seats.order_by("number").values_list("number", "row", "col")
    )


def _save(trip: Trip, vehicle: Vehicle, *changed: str) -> None:
    """Save the locked trip as its next version. Raises Conflict `vehicle_busy`."""
    try:
        with transaction.atomic():
            trip_changed(trip, *changed)
    except IntegrityError as error:
        raise _busy(vehicle) from error


def _busy(vehicle: Vehicle) -> Conflict:
    return Conflict(
        filled(_("{vehicle} departs then for another trip."), vehicle=vehicle.code),
        code="vehicle_busy",
    )


def _boardings(trips: "QuerySet[Trip]", first: str, last: str) -> "QuerySet[Any]":
    """Return the boarding stops of the trips that go from `first` to `last`; `to_n` is the place of
    the other stop."""
    leaves = TripStop.objects.filter(
        trip=OuterRef("trip"), stop__code=last, n__gt=OuterRef("n")
    ).values("n")
    rows = TripStop.objects.filter(trip__in=trips, stop__code=first).annotate(
        to_n=Subquery(leaves[:1])
    )
    return rows.filter(to_n__isnull=False).select_related("trip__route")


def _not_sold(trips: "QuerySet[Trip]", boards: "QuerySet[Any]", segment: str) -> Exception:
    """Return why no trip sells the segment."""
    if boards.exists():
        return Conflict(
            _("The sale for this trip is over: it leaves soon, or has left."), code="sales_closed"
        )
    if trips.exists():
        return _no_segment(segment)
    return Conflict(_("There is no trip on sale."), code="no_open_trip")


def _no_segment(segment: str) -> Invalid:
    return Invalid(
        filled(_("No trip on sale goes {segment}."), segment=segment), code="segment_invalid"
    )
