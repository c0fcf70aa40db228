"""Seats: chosen well, held, paid, sold and given back; each twice is once."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.bookings.contracts import SeatUse
from apps.bookings.models import Booking, Reservation, Trip
from apps.bookings.selectors import seat_map, seats_taken
from apps.bookings.services import seats
from apps.common.errors import Conflict
from tests.bookings.conftest import World, held, put_vehicle, sold_once
from tests.plans import plan_by_index


def refused(call: Any, *args: Any, **body: Any) -> str:
    with pytest.raises(Conflict) as refusal, transaction.atomic():
        call(*args, **body)
    return refusal.value.code


def status_of(booking: Booking) -> str:
    return Reservation.objects.get(booking=booking).status


# --- the choice ----------------------------------------------------------------------------------
def test_the_same_seat_is_sold_from_a_to_b_and_from_b_to_c(world: World) -> None:
    trip = world.trip()
    first, second = world.hold(trip, "A-B"), world.hold(trip, "B-C")
    assert first.reservation.seat_number == second.reservation.seat_number == 1
    assert sold_once(trip)


def test_the_smallest_gap_is_filled_then_the_lowest_number(world: World) -> None:
    put_vehicle("small", 3)
    trip = world.trip("small")
    world.hold(trip, "A-B", seat=1)
    world.hold(trip, "A-C", seat=2)
    # Seat 2 is free from C to D alone, seat 1 from B on, seat 3 all the way.
    assert world.hold(trip, "C-D").reservation.seat_number == 2
    assert world.hold(trip, "B-C").reservation.seat_number == 1
    assert world.hold(trip, "C-D").reservation.seat_number == 1
    assert world.hold(trip, "A-D").reservation.seat_number == 3
    assert refused(held, world.booking(trip, "B-C"), world.now) == "no_seat"


def test_a_blocked_seat_is_not_sold_and_a_named_one_is_taken_or_not(world: World) -> None:
    put_vehicle("small", 2)
    trip = world.trip("small")
    trip.seats.filter(number=1).update(blocked=True)
    for seat in (1, 3, 0, -1, 99_999):
        assert refused(held, world.booking(trip), world.now, seat) == "seat_taken"
    assert world.hold(trip, seat=2).reservation.seat_number == 2
    assert refused(held, world.booking(trip, "A-C"), world.now, 2) == "seat_taken"
    assert refused(held, world.booking(trip, "A-C"), world.now) == "no_seat"
    assert world.hold(trip, "B-C", seat=2).reservation.seat_number == 2


# --- twice is once -------------------------------------------------------------------------------
def test_each_step_twice_is_once(world: World, settings: Any) -> None:
    trip = world.trip()
    booking = world.booking(trip)
    first = held(booking, world.now)
    assert first.expires_at == world.now + timedelta(seconds=settings.RESERVATION_SECONDS)
    assert held(booking, world.now + timedelta(seconds=30)) == first
    for _ in range(2):
        seats.seat_paying(booking=booking, as_of=world.now)
        assert status_of(booking) == "paying"
    for _ in range(2):
        seats.seat_confirm(booking=booking)
        assert status_of(booking) == "confirmed"
    seats.seat_paying(booking=booking, as_of=world.now)
    assert status_of(booking) == "confirmed", "a late repeat takes nothing back"
    assert held(booking, world.now) == first
    assert [seats.seat_release(booking=booking) for _ in range(2)] == [True, False]
    assert status_of(booking) == "released"
    assert Reservation.objects.count() == 1


def test_a_seat_that_was_given_back_is_gone_for_its_booking(world: World) -> None:
    booking = world.sell(world.trip())
    seats.seat_release(booking=booking)
    assert refused(held, booking, world.now) == "reservation_expired"
    assert refused(seats.seat_paying, booking=booking, as_of=world.now) == "reservation_expired"
    assert refused(seats.seat_confirm, booking=booking) == "reservation_expired"


def test_a_booking_without_a_seat_pays_for_none(world: World) -> None:
    booking = world.booking(world.trip())
    assert refused(seats.seat_paying, booking=booking, as_of=world.now) == "reservation_expired"
    assert refused(seats.seat_confirm, booking=booking) == "reservation_expired"
    assert seats.seat_release(booking=booking) is False


def test_what_is_only_held_is_not_sold(world: World) -> None:
    booking = world.hold(world.trip())
    assert refused(seats.seat_confirm, booking=booking) == "reservation_expired"
    assert status_of(booking) == "held"


@pytest.mark.parametrize("status", ["draft", "closed", "done", "cancelled"])
def test_only_an_open_trip_sells_and_a_repeat_is_answered(world: World, status: str) -> None:
    trip = world.trip()
    before = world.booking(trip)
    first = held(before, world.now)
    Trip.objects.filter(pk=trip.pk).update(status=status)
    assert refused(held, world.booking(trip), world.now) == "trip_closed"
    assert held(before, world.now) == first


def test_no_seat_is_sold_from_a_stop_that_the_trip_has_left(world: World) -> None:
    trip = world.trip()
    leaves = trip.stops.get(n=1).departs_at
    assert refused(held, world.booking(trip), leaves) == "trip_closed"
    assert held(world.booking(trip, "B-C"), leaves).seat_number == 1


# --- holds that end ------------------------------------------------------------------------------
def test_a_hold_that_ended_is_given_to_the_next_and_its_booking_is_not_charged(
    world: World, settings: Any
) -> None:
    put_vehicle("small", 1)
    trip = world.trip("small")
    slow, next_one = world.hold(trip), world.booking(trip)
    just_before = world.now + timedelta(seconds=settings.RESERVATION_SECONDS - 1)
    assert refused(held, next_one, just_before) == "no_seat"
    then = just_before + timedelta(seconds=1)
    assert held(next_one, then).seat_number == 1
    assert status_of(slow) == "expired"
    assert refused(seats.seat_paying, booking=slow, as_of=then) == "reservation_expired"
    assert refused(held, slow, then) == "reservation_expired"


def test_a_hold_that_ended_is_not_charged_though_nobody_wanted_the_seat(
    world: World, settings: Any
) -> None:
    booking = world.hold(world.trip())
    then = world.now + timedelta(seconds=settings.RESERVATION_SECONDS)
    assert refused(seats.seat_paying, booking=booking, as_of=then) == "reservation_expired"


def test_what_is_being_paid_does_not_end(world: World, settings: Any) -> None:
    put_vehicle("small", 1)
    trip = world.trip("small")
    slow = world.hold(trip)
    last_moment = world.now + timedelta(seconds=settings.RESERVATION_SECONDS - 1)
    seats.seat_paying(booking=slow, as_of=last_moment)
    much_later = last_moment + timedelta(hours=3)
    assert refused(held, world.booking(trip), much_later) == "no_seat"
    seats.seat_confirm(booking=slow)
    assert status_of(slow) == "confirmed"


def test_a_seat_given_back_is_sold_again(world: World) -> None:
    put_vehicle("small", 1)
    trip = world.trip("small")
    seats.seat_release(booking=world.sell(trip))
    assert world.sell(trip).reservation.seat_number == 1


# --- the database --------------------------------------------------------------------------------
INSERT = """
INSERT INTO bookings_reservation
    (id, booking_id, trip_id, seat_number, stretch, status, expires_at, created_at)
VALUES (%s, %s, %s, 1, %s::int4range, %s, now(), now())
"""


@pytest.mark.parametrize(
    ("stretch", "status", "allowed"),
    [
        ("[1,2)", "held", False),
        ("[2,3)", "paying", False),
        ("[1,4)", "confirmed", False),
        ("[1,4)", "released", True),
        ("[1,4)", "expired", True),
        ("[3,4)", "confirmed", True),
        ("empty", "held", False),
        ("[3,)", "held", False),
    ],
)
def test_the_database_refuses_a_seat_twice_written_by_sql(
    world: World, stretch: str, status: str, allowed: bool
) -> None:
    trip = world.trip()
    world.sell(trip, "A-C", seat=1)
    other = world.booking(trip)
    values = [uuid4(), other.pk, trip.pk, stretch, status]

    def insert() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INSERT, values)

    if allowed:
        insert()
    else:
        with pytest.raises(IntegrityError):
            insert()


def test_the_database_keeps_what_has_ended(world: World) -> None:
    booking = world.hold(world.trip())
    seats.seat_release(booking=booking)
    with pytest.raises(DatabaseError), transaction.atomic():
        Reservation.objects.filter(booking=booking).update(status="confirmed")
    with pytest.raises(IntegrityError), transaction.atomic():
        Booking.objects.filter(pk=booking.pk).update(charged=1, refunded=2)
    Booking.objects.filter(pk=booking.pk).update(status="failed")
    with pytest.raises(DatabaseError), transaction.atomic():
        Booking.objects.filter(pk=booking.pk).update(status="confirmed")


def test_the_seats_of_a_trip_are_found_by_an_index(world: World) -> None:
    rows = Reservation.objects.filter(trip=uuid4(), status__in=["held", "paying", "confirmed"])
    # In the order of the seats: the constraint's own index has none.
    plan_by_index(rows.order_by("seat_number").values("seat_number"), "seat_active", ordered=True)


# --- the map -------------------------------------------------------------------------------------
def test_the_map_says_what_each_seat_is_on_each_leg(world: World, settings: Any) -> None:
    put_vehicle("small", 4)
    trip = world.trip("small")
    world.sell(trip, "A-C", seat=1)
    world.hold(trip, "B-D", seat=2)
    trip.seats.filter(number=4).update(blocked=True)
    free, taken, sold, blocked = SeatUse.FREE, SeatUse.HELD, SeatUse.SOLD, SeatUse.BLOCKED
    found = seat_map(trip.pk, as_of=world.now)
    assert [seat.legs for seat in found.seats] == [
        (sold, sold, free),
        (free, taken, taken),
        (free, free, free),
        (blocked, blocked, blocked),
    ]
    assert [seat.over(1, 4) for seat in found.seats] == [sold, taken, free, blocked]
    assert found.counts(1, 2) == {free: 2, taken: 0, sold: 1, blocked: 1}
    assert (found.places("A", "C"), found.places("C", "A"), found.places("A", "Z")) == (
        *((1, 3), None),
        None,
    )
    assert seats_taken([trip], as_of=world.now) == {trip.pk: (2, 4)}
    later = world.now + timedelta(seconds=settings.RESERVATION_SECONDS)
    assert seat_map(trip.pk, as_of=later).seats[1].legs == (free, free, free)
    assert seats_taken([trip], as_of=later) == {trip.pk: (1, 4)}
