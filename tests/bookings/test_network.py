"""The network: put whole, twice is once, also at once; what trips rely on stays."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.audit.models import AuditEntry
from apps.bookings.models import Fare, Route, RouteStop, Stop, TripSeat, Vehicle
from apps.bookings.services import network
from apps.bookings.services.network import SeatAt, seats_drawn
from apps.common.errors import DomainError
from tests.bookings.conftest import SAID, World, at_once, put_route, put_vehicle


def refused(call: Any, **body: Any) -> str:
    with pytest.raises(DomainError) as refusal:
        call(**body, **SAID)
    return refusal.value.code


def test_the_same_again_changes_nothing_and_leaves_no_trace(world: World) -> None:
    entries = AuditEntry.objects.count()
    put_route()
    put_vehicle()
    assert AuditEntry.objects.count() == entries
    assert list(Route.objects.get().stops.values_list("n", "stop__code").order_by("n")) == [
        *((1, "A"), (2, "B"), (3, "C"), (4, "D"))
    ]
    put_route(name="Another line", fares={"A-D": Decimal("4000.5")})
    assert AuditEntry.objects.count() == entries + 1
    route = Route.objects.get()
    assert route.name == "Another line"
    assert [(one.from_n, one.to_n, one.amount) for one in route.fares.all()] == [
        (1, 4, Decimal("4000.50"))
    ]


def test_two_at_once_make_one(shared_world: World) -> None:
    def calls(kind: str) -> list[Any]:
        if kind == "stop":
            return [lambda: network.stop_put(code="X", name="X", zone="UTC", **SAID).pk] * 8
        return [lambda: put_vehicle("new", 4).pk] * 8

    assert len(set(at_once(calls("stop")))) == 1
    assert len(set(at_once(calls("vehicle")))) == 1
    assert len(set(at_once([lambda: put_route("new").pk] * 8))) == 1
    assert Stop.objects.filter(code="X").count() == 1
    assert Vehicle.objects.get(code="new").seats.count() == 4
    assert Route.objects.get(code="new").stops.count() == 4


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"stops": ["A", "B", "C", "A"]}, "stops_invalid"),
        ({"stops": ["A"]}, "stops_invalid"),
        ({"stops": "AB"}, "stops_invalid"),
        ({"stops": ["A", "b"]}, "stop_code_invalid"),
        ({"stops": ["A", "B", "Z"]}, "stop_not_found"),
        ({"currency": "ngn"}, "currency_invalid"),
        ({"zone": "Lagos"}, "zone_invalid"),
        ({"name": ""}, "name_invalid"),
        ({"code": "Line"}, "code_invalid"),
        ({"fares": {"B-A": Decimal(1)}}, "segment_invalid"),
        ({"fares": {"A-A": Decimal(1)}}, "segment_invalid"),
        ({"fares": {"A-Z": Decimal(1)}}, "segment_invalid"),
        ({"fares": {"A": Decimal(1)}}, "segment_invalid"),
        ({"fares": {"A-B": Decimal("0")}}, "amount_invalid"),
        ({"fares": {"A-B": Decimal("1.001")}}, "amount_invalid"),
    ],
)
def test_a_route_that_is_not_sound_is_refused(
    world: World, changes: dict[str, Any], code: str
) -> None:
    body: dict[str, Any] = {"code": "line", "name": "Line", "currency": "NGN"}
    body |= {"zone": "Africa/Lagos", "stops": list("ABCD"), "fares": {}}
    assert refused(network.route_put, **{**body, **changes}) == code
    assert Fare.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"code": "a", "name": "A", "zone": "UTC"}, "stop_code_invalid"),
        ({"code": "A-B", "name": "A", "zone": "UTC"}, "stop_code_invalid"),
        ({"code": "A" * 21, "name": "A", "zone": "UTC"}, "stop_code_invalid"),
        ({"code": "A\x00", "name": "A", "zone": "UTC"}, "stop_code_invalid"),
        ({"code": "A", "name": "\u202e", "zone": "UTC"}, "invisible_characters"),
        ({"code": "A", "name": "A", "zone": "Moon"}, "zone_invalid"),
    ],
)
def test_a_stop_that_is_not_sound_is_refused(db: None, body: dict[str, Any], code: str) -> None:
    assert refused(network.stop_put, **body) == code


@pytest.mark.parametrize(
    "seats",
    [
        [],
        [SeatAt(1, 1, 1), SeatAt(1, 1, 2)],
        [SeatAt(1, 1, 1), SeatAt(2, 1, 1)],
        [SeatAt(0, 1, 1)],
        [SeatAt(10_000, 1, 1)],
        [SeatAt(1, 201, 1)],
        [SeatAt(1, 1, 11)],
        [SeatAt(n, n // 10 + 1, n % 10 + 1) for n in range(1, 602)],
    ],
)
def test_seats_that_are_not_sound_are_refused(db: None, seats: list[SeatAt]) -> None:
    assert refused(network.vehicle_put, code="bus", name="Bus", seats=seats) == "seats_invalid"


def test_seats_are_read_from_a_drawing() -> None:
    assert seats_drawn("1 2 . 3\n\n4 . . 5\n") == [
        *(SeatAt(1, 1, 1), SeatAt(2, 1, 2), SeatAt(3, 1, 4)),
        *(SeatAt(4, 2, 1), SeatAt(5, 2, 4)),
    ]
    for wrong in ("1 x", "1 99999", "1 ²"):
        with pytest.raises(DomainError):
            seats_drawn(wrong)


def test_once_a_trip_was_opened_the_way_stays_and_fares_change(world: World) -> None:
    world.trip()
    for changes in ({"stops": list("ABC")}, {"currency": "GHS"}, {"zone": "UTC"}):
        with pytest.raises(DomainError) as refusal:
            put_route(**{"fares": {}, **changes})  # type: ignore[arg-type]
        assert refusal.value.code == "route_in_use"
    assert RouteStop.objects.count() == 4
    put_route(fares={"A-B": Decimal("1700")})
    assert Fare.objects.get().amount == Decimal("1700.00")


def test_a_trip_keeps_the_seats_that_it_was_opened_with(world: World) -> None:
    trip = world.trip()
    put_vehicle(number=10)
    assert TripSeat.objects.filter(trip=trip).count() == 40


def test_the_database_refuses_a_stop_twice_and_a_fare_backwards(world: World) -> None:
    route = Route.objects.get()
    rows: list[Any] = [
        RouteStop(route=route, n=5, stop=Stop.objects.get(code="A")),
        RouteStop(route=route, n=1, stop=Stop.objects.create(code="E", zone="UTC")),
        Fare(route=route, from_n=2, to_n=1, amount=1),
        Fare(route=route, from_n=3, to_n=4, amount=0),
        Fare(route=route, from_n=1, to_n=2, amount=1),
    ]
    for row in rows:
        with pytest.raises(IntegrityError), transaction.atomic():
            row.save()
