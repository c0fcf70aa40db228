"""Many at once for the seats of a trip: none twice, none free over a refused stretch, no deadlock.

`at_once` raises whatever is no refusal, so a deadlock (40P01) anywhere fails the test.
"""

from collections import Counter
from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest
from django.db import transaction

from apps.bookings.contracts import ACTIVE
from apps.bookings.models import Booking, Reservation
from apps.bookings.services import seats
from apps.common.errors import Conflict
from tests.bookings.conftest import (
    PLACE,
    World,
    at_once,
    free_over,
    held,
    put_vehicle,
    sold_once,
)


def test_two_riders_for_the_last_seat(shared_world: World) -> None:
    world = shared_world
    put_vehicle("small", 1)
    trip = world.trip("small")
    riders = [world.booking(trip) for _ in range(2)]
    found = at_once([lambda one=one: held(one, world.now).seat_number for one in riders])
    assert sorted(map(str, found)) == ["1", "no_seat"]
    assert Reservation.objects.filter(status__in=ACTIVE).count() == 1


def test_sixty_at_once_on_forty_seats_over_stretches_that_overlap(shared_world: World) -> None:
    world = shared_world
    trip = world.trip()
    ways = [way for _, way in zip(range(60), cycle(["A-B", "B-D", "A-D", "B-C", "C-D", "A-C"]))]
    asked = [world.booking(trip, way) for way in ways]
    found = at_once([lambda one=one: held(one, world.now).seat_number for one in asked])
    assert sold_once(trip)
    for booking, result in zip(asked, found, strict=True):
        if result == "no_seat":
            assert free_over(trip, booking.from_n, booking.to_n) == set()
        else:
            assert booking.reservation.seat_number == result
    assert Counter(type(one) for one in found)[int] == Reservation.objects.count()


def test_a_to_c_and_b_to_d_on_forty_seats_are_forty_a_leg(shared_world: World) -> None:
    world = shared_world
    trip = world.trip()
    asked = [world.booking(trip, way) for way in ["A-C"] * 35 + ["B-D"] * 37]
    found = at_once([lambda one=one: held(one, world.now).seat_number for one in asked])
    assert found.count("no_seat") == 32
    stretches = list(Reservation.objects.values_list("stretch", flat=True))
    for leg in range(PLACE["A"], PLACE["D"]):
        assert sum(one.lower <= leg < one.upper for one in stretches) <= 40
    assert sum(one.lower <= PLACE["B"] < one.upper for one in stretches) == 40
    assert sold_once(trip)


def test_holds_that_end_are_paid_released_and_taken_over_at_once(
    shared_world: World, settings: Any
) -> None:
    """Every way in which a reservation changes, against holds that want its seat."""
    world = shared_world
    trip = world.trip()
    ends = world.now + timedelta(seconds=settings.RESERVATION_SECONDS)
    before = [world.hold(trip, "A-C") for _ in range(40)]
    wanted = [world.booking(trip, "B-D") for _ in range(40)]

    def paid(booking: Booking) -> str:
        with transaction.atomic():
            Booking.objects.select_for_update().get(pk=booking.pk)
            seats.seat_paying(booking=booking, as_of=ends - timedelta(seconds=1))
        seats.seat_confirm(booking=booking)
        return "sold"

    def released(booking: Booking) -> str:
        with transaction.atomic():
            Booking.objects.select_for_update().get(pk=booking.pk)
            return "released" if seats.seat_release(booking=booking) else "gone"

    calls: list[Any] = []
    for number, (old, new) in enumerate(zip(before, wanted, strict=True)):
        change = paid if number % 2 else released
        calls += [
            lambda old=old, change=change: change(old),
            lambda new=new: held(new, ends).seat_number,
        ]
    found = at_once(calls)
    changed, taken = found[0::2], found[1::2]
    assert set(changed) <= {"sold", "released", "gone", "reservation_expired"}
    assert sold_once(trip)
    sold = Reservation.objects.filter(status="confirmed").count()
    assert sold == changed.count("sold")
    assert Reservation.objects.filter(booking__in=wanted).count() == sum(
        isinstance(one, int) for one in taken
    )
    # Whoever was refused gets a seat now, if one is free.
    for booking, result in zip(wanted, taken, strict=True):
        if result == "no_seat":
            try:
                held(booking, ends)
            except Conflict:
                assert free_over(trip, booking.from_n, booking.to_n) == set()


@pytest.mark.parametrize("step", ["hold", "pay", "confirm", "release"])
def test_eight_at_once_for_one_booking_are_one(shared_world: World, step: str) -> None:
    world = shared_world
    booking = world.booking(world.trip())
    if step != "hold":
        held(booking, world.now)
    if step in ("confirm", "release"):
        seats.seat_paying(booking=booking, as_of=world.now)
    calls: dict[str, Any] = {
        "hold": lambda: held(booking, world.now).seat_number,
        "pay": lambda: seats.seat_paying(booking=booking, as_of=world.now),
        "confirm": lambda: seats.seat_confirm(booking=booking),
        "release": lambda: seats.seat_release(booking=booking),
    }
    found = at_once([calls[step]] * 8)
    expected = {"hold": [1] * 8, "release": [True, *[False] * 7]}.get(step, [None] * 8)
    assert sorted(found, key=str, reverse=True) == expected
    assert Reservation.objects.count() == 1


def test_one_booking_held_twice_without_its_lock_has_one_seat(shared_world: World) -> None:
    world = shared_world
    booking = world.booking(world.trip())

    def hold() -> int:
        with transaction.atomic():
            return seats.seat_hold(booking=booking, as_of=world.now).seat_number

    assert at_once([hold] * 8) == [1] * 8
