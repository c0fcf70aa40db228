"""API of trips and their seats. Mounted at /api/v1/trips."""

from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.bookings.contracts import STOP_CODE, SeatUse, TripStatus
from apps.bookings.contracts.trips import CancellationStatus
from apps.bookings.forms import TripFilter
from apps.bookings.models import Trip, TripStop
from apps.bookings.scopes import Scope
from apps.bookings.selectors import SeatMap, fares_of, manifest_lines, seat_map, stops_of
from apps.bookings.services import cancellations, trips
from apps.bookings.services.cancellations import RUN_TRIP
from apps.bookings.services.network import segment_stops
from apps.common.api import Cursor, Limit, ReasonIn, why
from apps.common.errors import Invalid, NotFound
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.pagination import page
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["trips"])

VIEW_TRIPS = "bookings.view_trip"
VIEW_MANIFEST = "bookings.view_manifest"
#: The code of a stop as a filter; empty: no filter.
StopFilter = Annotated[str | None, Query(pattern=f"^({STOP_CODE})?$")]


class StopOut(Schema):
    """When a trip is at a stop. `zone` is that of the stop."""

    code: str
    name: str
    zone: str
    arrivesAt: datetime
    departsAt: datetime


class FareOut(Schema):
    """The fare of a segment such as A-B, in major units of the trip's currency."""

    segment: str
    amount: str


class TripOut(Schema):
    """A trip. `day` is the day from which its times count, in `zone`, the route's."""

    id: UUID
    busId: str
    route: str
    name: str
    status: TripStatus
    day: date
    zone: str
    currency: str
    departsAt: datetime
    version: int
    stops: list[StopOut]
    fares: list[FareOut]


class TripPage(Schema):
    items: list[TripOut]
    next: str | None


class SeatOut(Schema):
    """`state` over the segment: the least free of its legs; `legs`: on each leg of the trip."""

    seatNumber: int
    row: int
    col: int
    state: SeatUse
    legs: list[SeatUse]


class SeatsOut(Schema):
    """The seats of a trip over a segment. `legs` are the segments from each stop to the next."""

    tripId: UUID
    segment: str
    free: int = Field(description="Seats that are free all the way.")
    legs: list[str]
    seats: list[SeatOut]


class LineOut(Schema):
    """A line of a manifest; `booking` is the id of its workflow."""

    seatNumber: int
    segment: str
    userId: str
    booking: str


class ManifestOut(Schema):
    """Who travels on the trip, now. `handedOverAt`: when it was handed over to the operator, with
    `handedOver` bookings on it; later bookings and cancellations are only here."""

    tripId: UUID
    busId: str
    day: date
    lines: list[LineOut]
    handedOverAt: datetime | None
    handedOver: int | None


class DelayIn(Schema):
    """`minutes`: later, or earlier if below zero; `fromN`: the place of the first stop that it
    leaves later, from 1. With the trip's `version` a repeated call does not delay it twice."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(ge=-2880, le=2880)
    fromN: int = Field(1, ge=1, le=50)
    version: int | None = Field(None, ge=1)
    reason: str = Field("", max_length=2000)


class CancellationOut(Schema):
    """The cancellation of a trip. `amount`: what goes back at most, in major units."""

    id: UUID
    workflowId: str
    tripId: UUID
    status: CancellationStatus
    amount: str
    currency: str
    bookings: int


@router.get("", response=TripPage)
@filtered(TripFilter)
def trip_list(
    request: HttpRequest,
    narrow: Narrow,
    from_: Annotated[str | None, Query(alias="from", pattern=f"^({STOP_CODE})?$")] = None,
    to: StopFilter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """List trips by their departure, the next ones first, with their fares. `bus`: only those of
    that vehicle; `from`, `to`: only those that stop there, in that order; `day`: of that service
    day. Without `status` and `day`, trips that are over are left out."""
    user = _reader(request)
    rows = narrow(Trip.objects.select_related("route", "vehicle"), user=user)
    for code in filter(None, (from_, to)):
        rows = rows.filter(_stops_at(code))
    if from_ and to:
        boards = TripStop.objects.filter(
            trip=OuterRef("trip"), stop__code=from_, n__lt=OuterRef("n")
        )
        leaves = TripStop.objects.filter(trip=OuterRef("pk"), stop__code=to)
        rows = rows.filter(Exists(leaves.filter(Exists(boards))))
    found = page(rows, cursor=cursor, limit=limit, order="departs")
    stops, fares = stops_of(found["items"]), fares_of(found["items"])
    found["items"] = [_shape(trip, stops[trip.pk], fares[trip.route_id]) for trip in found["items"]]
    return found


@router.get("/{trip_id}/seats", response=SeatsOut)
def trip_seats(
    request: HttpRequest,
    trip_id: UUID,
    segment: Annotated[str, Query(max_length=41)] = "",
) -> dict[str, Any]:
    """Return the seats of a trip over a segment such as `A-B`, or all the way. Refusals: 422
    `segment_invalid`, also when the trip does not go that way."""
    _reader(request)
    trip = row_of(Trip.objects.all(), _no_trip(), pk=trip_id)
    found = seat_map(trip.pk, as_of=timezone.now())
    from_n, to_n = _places(found, segment)
    codes = [stop.stop.code for stop in found.stops]
    return {
        "tripId": trip.pk,
        "segment": f"{codes[from_n - 1]}-{codes[to_n - 1]}",
        "free": found.counts(from_n, to_n)[SeatUse.FREE],
        "legs": [f"{first}-{last}" for first, last in pairwise(codes)],
        "seats": [
            {
                "seatNumber": seat.number,
                "row": seat.row,
                "col": seat.col,
                "state": seat.over(from_n, to_n),
                "legs": list(seat.legs),
            }
            for seat in found.seats
        ],
    }


@router.get("/{trip_id}/manifest", response=ManifestOut)
def trip_manifest(request: HttpRequest, trip_id: UUID) -> dict[str, Any]:
    """Return who travels on the trip."""
    require(request, scope=Scope.BOOKINGS_READ, permission=VIEW_MANIFEST)
    trip = row_of(Trip.objects.select_related("vehicle"), _no_trip(), pk=trip_id)
    handed = trip.manifests.exclude(handed_at=None).first()
    return {
        "tripId": trip.pk,
        "busId": trip.vehicle.code,
        "day": trip.service_date,
        "lines": [
            {
                "seatNumber": line.seat,
                "segment": f"{line.board}-{line.leave}",
                "userId": line.rider,
                "booking": line.booking,
            }
            for line in manifest_lines(trip)
        ],
        "handedOverAt": handed.handed_at if handed else None,
        "handedOver": len(handed.body["lines"]) if handed else None,
    }


@router.post("/{trip_id}/delay", response=TripOut)
def trip_delay(request: HttpRequest, trip_id: UUID, body: DelayIn) -> dict[str, Any]:
    """Delay the trip from a stop on. Refusals: 409 `version_changed`, `trip_settled`,
    `vehicle_busy`; 422 `minutes_invalid`, `stops_invalid`, `times_out_of_order`."""
    user = require(request, scope=Scope.BOOKINGS_WRITE, permission=RUN_TRIP)
    trips.trip_delay(
        trip_id=trip_id,
        minutes=body.minutes,
        from_n=body.fromN,
        version=body.version,
        by=user,
        via="api",
        reason=body.reason,
    )
    trip = Trip.objects.select_related("route", "vehicle").get(pk=trip_id)
    return _shape(trip, stops_of([trip])[trip.pk], fares_of([trip])[trip.route_id])


@router.post("/{trip_id}/cancel", response={200: CancellationOut, 201: CancellationOut})
def trip_cancel(
    request: HttpRequest, trip_id: UUID, body: ReasonIn | None = None
) -> Status[dict[str, Any]]:
    """Ask for the trip to be cancelled: the sale stops, and once it is signed, all bookings are
    refunded in full. Again: the same cancellation, with 200. Refusals: 409 `trip_settled`."""
    user = require(request, scope=Scope.BOOKINGS_WRITE)
    row, created = cancellations.trip_cancel(
        trip_id=trip_id, reason=why(body), by=user, via="api", as_of=timezone.now()
    )
    shape = {
        "id": row.pk,
        "workflowId": row.workflow_id,
        "tripId": row.trip_id,
        "status": row.status,
        "amount": exact(row.amount, row.currency),
        "currency": row.currency,
        "bookings": row.total,
    }
    return Status(201 if created else 200, shape)


# --- helpers -------------------------------------------------------------------------------------
def _reader(request: HttpRequest) -> Any:
    return require(request, scope=Scope.BOOKINGS_READ, permission=VIEW_TRIPS)


def _no_trip() -> NotFound:
    return NotFound(_("There is no such trip."), code="trip_not_found")


def _stops_at(code: str) -> Exists:
    return Exists(TripStop.objects.filter(trip=OuterRef("pk"), stop__code=code))


def _places(found: SeatMap, segment: str) -> tuple[int, int]:
    if not segment:
        return 1, len(found.stops)
    places = found.places(*segment_stops(segment))
    if places is None:
        raise Invalid(_("The trip does not go that way."), code="segment_invalid")
    return places


def _shape(trip: Trip, stops: list[TripStop], fares: list[Any]) -> dict[str, Any]:
    codes = {stop.n: stop.stop.code for stop in stops}
    currency = trip.route.currency
    return {
        "id": trip.pk,
        "busId": trip.vehicle.code,
        "route": trip.route.code,
        "name": trip.route.name,
        "status": trip.status,
        "day": trip.service_date,
        "zone": trip.route.zone,
        "currency": currency,
        "departsAt": trip.departs_at,
        "version": trip.version,
        "stops": [
            {
                "code": stop.stop.code,
                "name": stop.stop.name,
                "zone": stop.stop.zone,
                "arrivesAt": stop.arrives_at,
                "departsAt": stop.departs_at,
            }
            for stop in stops
        ],
        "fares": [
            {
                "segment": f"{codes[fare.from_n]}-{codes[fare.to_n]}",
                "amount": exact(fare.amount, currency),
            }
            for fare in fares
        ],
    }
