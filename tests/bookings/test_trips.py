"""Trips: opened once, delayed once, given another vehicle without losing a sold seat, and found."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from apps.audit.models import AuditEntry
from apps.bookings.models import Trip, TripStop
from apps.bookings.services import seats, trips
from apps.bookings.times import Clocks
from apps.common.errors import DomainError
from tests.bookings.conftest import (
    CLOCKS,
    FARES,
    SAID,
    World,
    at_once,
    put_route,
    put_vehicle,
)


def refused(call: Any, **body: Any) -> Any:
    with pytest.raises(DomainError) as refusal:
        call(**body)
    return refusal.value


# --- opening -------------------------------------------------------------------------------------
def test_a_trip_is_opened_with_its_times_and_seats(world: World) -> None:
    trip = world.trip(service_date=date(2026, 3, 28))
    assert (trip.status, trip.version) == ("open", 1)
    found = TripStop.objects.filter(trip=trip).order_by("n")
    assert [(f"{one.arrives_at:%H:%M}", f"{one.departs_at:%H:%M}") for one in found] == [
        *(("07:00", "07:00"), ("08:00", "08:10"), ("09:00", "09:05"), ("10:00", "10:00"))
    ]
    assert trip.departs_at == datetime(2026, 3, 28, 7, tzinfo=UTC)
    assert trip.seats.count() == 40
    entry = AuditEntry.objects.get(action="trip.opened")
    assert (entry.subject_id, entry.body["vehicle"]) == (str(trip.pk), "bus")


def test_an_overnight_trip_over_a_change_of_clocks(world: World) -> None:
    put_route("night", "AB", zone="Europe/Lisbon", fares={})
    clocks = [Clocks("22:30", "22:30"), Clocks("26:15", "26:15")]
    trip = world.trip(route="night", service_date=date(2026, 3, 28), clocks=clocks)
    first, last = TripStop.objects.filter(trip=trip).order_by("n")
    assert first.departs_at == datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
    assert last.arrives_at == datetime(2026, 3, 29, 2, 15, tzinfo=UTC)


def test_the_same_trip_again_is_the_first_one(world: World) -> None:
    first = world.trip()
    entries = AuditEntry.objects.count()
    again, new = trips.trip_open(
        route="line", vehicle="bus", service_date=first.service_date, clocks=CLOCKS, **SAID
    )
    assert (again.pk, new, AuditEntry.objects.count()) == (first.pk, False, entries)


def test_eight_at_once_open_one(shared_world: World) -> None:
    found = at_once([lambda: shared_world.trip().pk] * 8)
    assert len(set(found)) == 1
    assert Trip.objects.get().seats.count() == 40


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"route": "nowhere"}, "route_not_found"),
        ({"vehicle": "nothing"}, "vehicle_not_found"),
        ({"vehicle": "\x00"}, "vehicle_not_found"),
        ({"clocks": CLOCKS[:3]}, "stops_invalid"),
        ({"clocks": [*CLOCKS[:3], Clocks("10:00", "10:00")]}, "times_out_of_order"),
        ({"clocks": [*CLOCKS[:3], Clocks("99:00", "99:00")]}, "time_invalid"),
    ],
)
def test_a_trip_that_is_not_sound_is_refused(
    world: World, changes: dict[str, Any], code: str
) -> None:
    body: dict[str, Any] = {"route": "line", "vehicle": "bus"}
    body |= {"service_date": date(2026, 3, 28), "clocks": CLOCKS}
    assert refused(trips.trip_open, **{**body, **changes}, **SAID).code == code
    assert Trip.objects.count() == 0


def test_a_vehicle_departs_for_one_trip_at_a_time(world: World) -> None:
    trip = world.trip()
    put_route("other")
    body = {"vehicle": "bus", "service_date": trip.service_date, "clocks": CLOCKS}
    assert refused(trips.trip_open, route="other", **body, **SAID).code == "vehicle_busy"


def test_the_end_of_a_trip_stays_and_the_database_holds_its_times_in_order(world: World) -> None:
    trip = world.trip()
    Trip.objects.filter(pk=trip.pk).update(status="cancelled")
    with pytest.raises(DatabaseError), transaction.atomic():
        Trip.objects.filter(pk=trip.pk).update(status="open")
    stop = trip.stops.get(n=2)
    stop.departs_at = stop.arrives_at - timedelta(minutes=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        stop.save()


# --- another vehicle -----------------------------------------------------------------------------
def test_a_vehicle_without_a_sold_seat_is_refused(world: World) -> None:
    trip = world.trip()
    world.sell(trip, seat=9)
    world.hold(trip, "B-C", seat=12)
    put_vehicle("small", 10)
    refusal = refused(trips.vehicle_swap, trip_id=trip.pk, vehicle="small", as_of=world.now, **SAID)
    assert (refusal.code, refusal.extra) == ("seats_taken", {"seats": [12]})
    trip.refresh_from_db()
    assert (trip.vehicle.code, trip.version, trip.seats.count()) == ("bus", 1, 40)


def test_a_hold_that_has_ended_keeps_no_vehicle_from_taking_over(
    world: World, settings: Any
) -> None:
    trip = world.trip()
    booking = world.hold(trip, seat=12)
    put_vehicle("small", 10)
    about = {"trip_id": trip.pk, "vehicle": "small", **SAID}
    ends = world.now + timedelta(seconds=settings.RESERVATION_SECONDS)
    early = refused(trips.vehicle_swap, as_of=ends - timedelta(seconds=1), **about)
    assert early.code == "seats_taken"
    assert trips.vehicle_swap(as_of=ends, **about).vehicle.code == "small"
    # Nor is it paid for.
    assert refused(seats.seat_paying, booking=booking, as_of=ends).code == "reservation_expired"


def test_a_swap_takes_over_the_seats_keeps_blocked_ones_and_twice_is_once(world: World) -> None:
    trip = world.trip()
    booking = world.sell(trip, seat=9)
    trip.seats.filter(number=3).update(blocked=True)
    put_vehicle("small", 10)
    for _ in range(2):
        found = trips.vehicle_swap(trip_id=trip.pk, vehicle="small", as_of=world.now, **SAID)
        assert (found.vehicle.code, found.version) == ("small", 2)
    assert AuditEntry.objects.filter(action="trip.vehicle_swapped").count() == 1
    assert set(trip.seats.values_list("number", flat=True)) == set(range(1, 11))
    assert list(trip.seats.filter(blocked=True).values_list("number", flat=True)) == [3]
    seats.seat_confirm(booking=booking)
    assert booking.reservation.seat_number == 9


def test_a_swap_and_a_sale_at_once_lose_no_seat(shared_world: World) -> None:
    world = shared_world
    trip = world.trip()
    put_vehicle("small", 10)

    def swap() -> Any:
        return trips.vehicle_swap(trip_id=trip.pk, vehicle="small", as_of=world.now, **SAID)

    at_once([swap, *(lambda n=n: world.sell(trip, seat=n) for n in (8, 9, 10, 11, 12))])
    numbers = set(trip.seats.values_list("number", flat=True))
    assert set(trip.reservations.values_list("seat_number", flat=True)) <= numbers


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"vehicle": "nothing"}, "vehicle_not_found"),
        ({"trip_id": "x"}, "trip_not_found"),
        ({"trip_id": uuid4()}, "trip_not_found"),
    ],
)
def test_a_swap_of_nothing_is_refused(world: World, changes: dict[str, Any], code: str) -> None:
    body = {"trip_id": world.trip().pk, "vehicle": "bus", "as_of": world.now, **changes}
    assert refused(trips.vehicle_swap, **body, **SAID).code == code


def test_a_trip_that_left_keeps_its_vehicle_and_one_that_is_over_its_times(world: World) -> None:
    trip = world.trip()
    about = {"trip_id": trip.pk, "vehicle": "bus", **SAID}
    assert refused(trips.vehicle_swap, as_of=trip.departs_at, **about).code == "trip_settled"
    assert trips.vehicle_swap(as_of=trip.departs_at - timedelta(seconds=1), **about) == trip
    trips.trip_delay(trip_id=trip.pk, minutes=5, from_n=2, version=1, **SAID)
    Trip.objects.filter(pk=trip.pk).update(status="done")
    late = refused(trips.trip_delay, trip_id=trip.pk, minutes=5, version=2, **SAID)
    assert late.code == "trip_settled"


def test_no_swap_and_no_delay_to_when_the_vehicle_leaves_for_another_trip(world: World) -> None:
    trip = world.trip()
    put_vehicle("other")
    other = world.trip("other")
    about = {"trip_id": trip.pk, "vehicle": "other", "as_of": world.now, **SAID}
    assert refused(trips.vehicle_swap, **about).code == "vehicle_busy"
    later = [Clocks(f"{hour}:00", f"{hour}:10") for hour in (12, 13, 14, 15)]
    world.trip(clocks=later)
    busy = refused(trips.trip_delay, trip_id=trip.pk, minutes=250, version=1, **SAID)
    assert busy.code == "vehicle_busy"
    trip.refresh_from_db()
    assert trip.departs_at == other.departs_at
    assert trip.stops.get(n=1).departs_at == trip.departs_at


# --- delays --------------------------------------------------------------------------------------
def test_a_delay_moves_what_follows_and_counts_once(world: World) -> None:
    trip = world.trip(service_date=date(2026, 3, 28))
    body: dict[str, Any] = {"trip_id": trip.pk, "minutes": 20, "from_n": 2, "version": 1}
    assert trips.trip_delay(**body, **SAID).version == 2
    found = TripStop.objects.filter(trip=trip).order_by("n")
    times = [(f"{one.arrives_at:%H:%M}", f"{one.departs_at:%H:%M}") for one in found]
    assert times == [
        *(("07:00", "07:00"), ("08:00", "08:30"), ("09:20", "09:25"), ("10:20", "10:20"))
    ]
    assert refused(trips.trip_delay, **body, **SAID).code == "version_changed"
    moved = trips.trip_delay(trip_id=trip.pk, minutes=-10, version=2, **SAID)
    assert moved.departs_at == datetime(2026, 3, 28, 6, 50, tzinfo=UTC)


def test_eight_delays_at_once_count_once(shared_world: World) -> None:
    trip = shared_world.trip()

    def delay() -> int:
        return trips.trip_delay(trip_id=trip.pk, minutes=20, version=1, **SAID).version

    assert sorted(map(str, at_once([delay] * 8))) == ["2", *["version_changed"] * 7]
    before, trip = trip.departs_at, Trip.objects.get()
    assert trip.departs_at - before == timedelta(minutes=20)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"minutes": 0}, "minutes_invalid"),
        ({"minutes": 2881}, "minutes_invalid"),
        ({"from_n": 5}, "stops_invalid"),
        ({"from_n": 0}, "stops_invalid"),
        ({"from_n": 2, "minutes": -11}, "times_out_of_order"),
        ({"from_n": 3, "minutes": -60}, "times_out_of_order"),
        ({"reason": "x" * 2001}, "reason_invalid"),
    ],
)
def test_a_delay_that_is_not_sound_is_refused(
    world: World, changes: dict[str, Any], code: str
) -> None:
    trip = world.trip()
    body: dict[str, Any] = {"trip_id": trip.pk, "minutes": 5, "version": 1, **changes}
    assert refused(trips.trip_delay, **body, **SAID).code == code


# --- found for a booking -------------------------------------------------------------------------
def find(world: World, segment: str = "A-B", **more: Any) -> Any:
    body: dict[str, Any] = {"bus_id": "bus", "as_of": world.now, **more}
    return trips.find_trip(segment=segment, **body)


def test_the_next_open_trip_that_covers_the_segment_is_found(world: World) -> None:
    later, first = world.trip(days=4), world.trip(days=2)
    assert find(world).trip.pk == first.pk
    found = find(world, "B-C", trip_id=later.pk, fare=FARES["B-C"])
    assert (found.trip.pk, found.from_n, found.to_n) == (later.pk, 2, 3)
    assert (found.fare, found.currency) == (Decimal("1600.00"), "NGN")
    assert found.boards_at == later.stops.get(n=2).departs_at
    Trip.objects.filter(pk=first.pk).update(status="closed")
    assert find(world).trip.pk == later.pk


def test_a_trip_is_sold_until_five_minutes_before_it_leaves_the_boarding_stop(
    world: World, settings: Any
) -> None:
    trip = world.trip()
    leaves = trip.stops.get(n=1).departs_at
    before = leaves - timedelta(minutes=settings.SALES_CLOSE_MINUTES, seconds=1)
    assert find(world, as_of=before).trip.pk == trip.pk
    over = before + timedelta(seconds=1)
    assert refused(find, world=world, as_of=over).code == "sales_closed"
    assert find(world, "B-C", as_of=over).trip.pk == trip.pk
    # The next one is found instead, unless this one is named.
    other = world.trip(days=5)
    assert find(world, as_of=over).trip.pk == other.pk
    assert refused(find, world=world, as_of=over, trip_id=trip.pk).code == "sales_closed"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"bus_id": "nothing"}, "vehicle_not_found"),
        ({"bus_id": "\x00"}, "vehicle_not_found"),
        ({"trip_id": uuid4()}, "trip_not_found"),
        ({"trip_id": "x"}, "trip_not_found"),
        ({"segment": "B-A"}, "segment_invalid"),
        ({"segment": "A-Z"}, "segment_invalid"),
        ({"segment": "A-A"}, "segment_invalid"),
        ({"segment": "A"}, "segment_invalid"),
        ({"segment": "A-B-C"}, "segment_invalid"),
        ({"segment": "a-b"}, "segment_invalid"),
        ({"segment": "A-\x00"}, "segment_invalid"),
        # It goes there, but that is not sold.
        ({"segment": "A-D"}, "segment_invalid"),
        ({"fare": Decimal("1499.99")}, "fare_differs"),
    ],
)
def test_what_cannot_be_booked_has_a_code(world: World, more: dict[str, Any], code: str) -> None:
    world.trip()
    assert refused(find, world=world, **more).code == code


def test_another_fare_is_told_the_right_one(world: World) -> None:
    world.trip()
    refusal = refused(find, world=world, fare=Decimal("15"))
    assert refusal.extra == {"fare": "1500.00", "currency": "NGN"}


def test_without_an_open_trip_there_is_none_and_of_another_bus_it_is_not_found(
    world: World,
) -> None:
    assert refused(find, world=world).code == "no_open_trip"
    trip = world.trip()
    put_vehicle("other")
    assert refused(find, world=world, bus_id="other", trip_id=trip.pk).code == "trip_not_found"
    Trip.objects.filter(pk=trip.pk).update(status="draft")
    assert refused(find, world=world, trip_id=trip.pk).code == "no_open_trip"
