"""Reads of trips: their stops and fares, and what each seat is on each leg."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count

from apps.bookings.contracts import ACTIVE, ReservationStatus, SeatUse
from apps.bookings.models import Booking, Fare, ManifestLine, Reservation, Trip, TripSeat, TripStop

_BY_FREEDOM = list(SeatUse)


@dataclass(frozen=True)
class SeatOnTrip:
    """A seat, and what it is on each leg, from the first."""

    number: int
    row: int
    col: int
    legs: tuple[SeatUse, ...]

    @property
    def key(self) -> str:
        """Return what names it on its trip's page."""
        return f"seat-{self.number}"

    def over(self, from_n: int, to_n: int) -> SeatUse:
        """Return what the seat is over the stretch: the least free of its legs."""
        return max(self.legs[from_n - 1 : to_n - 1], key=_BY_FREEDOM.index)


@dataclass(frozen=True)
class SeatMap:
    """A trip's stops in their order, and its seats by number. A leg leads from a stop to the next
    one."""

    stops: list[TripStop]
    seats: list[SeatOnTrip]

    def counts(self, from_n: int, to_n: int) -> dict[SeatUse, int]:
        """Return how many seats are free, held, sold and blocked over the stretch."""
        found = Counter(seat.over(from_n, to_n) for seat in self.seats)
        return {use: found[use] for use in SeatUse}

    def places(self, first: str, last: str) -> tuple[int, int] | None:
        """Return the places of two stops by their codes; None unless the trip goes that way."""
        at = {stop.stop.code: stop.n for stop in self.stops}
        from_n, to_n = at.get(first, 0), at.get(last, 0)
        return (from_n, to_n) if 0 < from_n < to_n else None


def seat_map(trip_id: UUID, *, as_of: datetime) -> SeatMap:
    """Return what the trip's seats are at `as_of`: a hold that has ended is free. Three queries."""
    stops = list(TripStop.objects.filter(trip=trip_id).select_related("stop").order_by("n"))
    seats = list(TripSeat.objects.filter(trip=trip_id).order_by("number"))
    legs = max(len(stops) - 1, 0)
    uses = {
        seat.number: [SeatUse.BLOCKED if seat.blocked else SeatUse.FREE] * legs for seat in seats
    }
    taken = Reservation.objects.filter(trip=trip_id, status__in=ACTIVE)
    for number, stretch, status, expires_at in taken.values_list(
        "seat_number", "stretch", "status", "expires_at"
    ):
        if number not in uses or (status == ReservationStatus.HELD and expires_at <= as_of):
            continue
        use = SeatUse.SOLD if status == ReservationStatus.CONFIRMED else SeatUse.HELD
        for leg in range(stretch.lower, min(stretch.upper, legs + 1)):
            uses[number][leg - 1] = use
    return SeatMap(
        stops,
        [SeatOnTrip(one.number, one.row, one.col, tuple(uses[one.number])) for one in seats],
    )


def stops_of(trips: Iterable[Trip]) -> dict[UUID, list[TripStop]]:
    """Return the stops of each of the trips, in their order. One query."""
    found: dict[UUID, list[TripStop]] = {trip.pk: [] for trip in trips}
    for stop in TripStop.objects.filter(trip__in=found).select_related("stop").order_by("n"):
        found[stop.trip_id].append(stop)
    return found


def ride_of(booking: Booking) -> tuple[TripStop, TripStop]:
    """Return the stops at which the rider gets on and off. One query."""
    first, last = (
        TripStop.objects.filter(trip=booking.trip_id, n__in=(booking.from_n, booking.to_n))
        .select_related("stop")
        .order_by("n")
    )
    return first, last


def fares_of(trips: Iterable[Trip]) -> dict[int, list[Fare]]:
    """Return the fares of the trips' routes, by the route's id, in the order of the stops. One
    query."""
    found: dict[int, list[Fare]] = {trip.route_id: [] for trip in trips}
    for fare in Fare.objects.filter(route__in=found).order_by("from_n", "to_n"):
        found[fare.route_id].append(fare)
    return found


@dataclass(frozen=True)
class Rider:
    """A line of a manifest: who travels on which seat, and the codes of the stops between which."""

    seat: int
    from_n: int
    to_n: int
    board: str
    leave: str
    rider: str
    booking: str


def manifest_lines(trip: Trip) -> list[Rider]:
    """Return the lines of the trip's manifest as it is now, by seat and boarding stop. Two
    queries."""
    codes = dict(TripStop.objects.filter(trip=trip.pk).values_list("n", "stop__code"))
    lines = ManifestLine.objects.filter(trip=trip.pk).order_by("seat_number", "from_n")
    columns = ("seat_number", "from_n", "to_n", "booking__user_id", "booking__workflow_id")
    return [
        Rider(seat, from_n, to_n, codes[from_n], codes[to_n], rider, booking)
        for seat, from_n, to_n, rider, booking in lines.values_list(*columns)
    ]


def seats_taken(trips: Sequence[Trip], *, as_of: datetime) -> dict[UUID, tuple[int, int]]:
    """Return of each trip how many of its seats are taken at `as_of` on some leg, and how many it
    has: a hold that has ended is free. Two queries."""
    ids = [trip.pk for trip in trips]
    taken = (
        Reservation.objects.filter(trip__in=ids, status__in=ACTIVE)
        .exclude(status=ReservationStatus.HELD, expires_at__lte=as_of)
        .order_by()
        .values_list("trip")
        .annotate(number=Count("seat_number", distinct=True))
    )
    seats = (
        TripSeat.objects.filter(trip__in=ids)
        .order_by()
        .values_list("trip")
        .annotate(number=Count("pk"))
    )
    some, every = dict(taken), dict(seats)
    return {one: (some.get(one, 0), every.get(one, 0)) for one in ids}
