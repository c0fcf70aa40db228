"""The API of trips: the next ones with their fares, and what each seat is; hostile input."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.bookings.models import Trip
from tests.bookings.conftest import World, caller_of, put_route, put_vehicle

URL = "/api/v1/trips"


@pytest.fixture
def caller(world: World) -> Client:
    return caller_of(world.people["requester"])


def items(caller: Client, **query: Any) -> list[Any]:
    answer = caller.get(URL, query)
    assert answer.status_code == 200, answer.content
    found: list[Any] = answer.json()["items"]
    return found


def ids(caller: Client, **query: Any) -> list[str]:
    return [one["id"] for one in items(caller, **query)]


def test_trips_come_by_their_departure_with_times_and_fares(world: World, caller: Client) -> None:
    last, first = world.trip(days=5), world.trip(days=2)
    found = items(caller)
    assert [one["id"] for one in found] == [str(first.pk), str(last.pk)]
    one = found[0]
    assert (one["busId"], one["route"], one["status"], one["currency"]) == (
        *("bus", "line", "open", "NGN"),
    )
    assert one["day"] == first.service_date.isoformat()
    assert [stop["code"] for stop in one["stops"]] == list("ABCD")
    assert one["stops"][0]["departsAt"] == f"{first.service_date.isoformat()}T07:00:00Z"
    assert one["fares"] == [
        {"segment": "A-B", "amount": "1500.00"},
        {"segment": "A-C", "amount": "2800.00"},
        {"segment": "B-C", "amount": "1600.00"},
    ]


def test_trips_are_found_by_bus_stops_in_their_order_and_day(world: World, caller: Client) -> None:
    put_vehicle("other")
    put_route("back", "CBA", fares={})
    mine, other = str(world.trip().pk), str(world.trip("other", days=4).pk)
    clocks = [("08:00", "08:00"), ("09:00", "09:00"), ("10:00", "10:00")]
    back = world.trip("other", days=6, route="back", clocks=clocks)
    assert ids(caller, bus="bus") == [mine]
    assert ids(caller, **{"from": "A", "to": "B"}) == [mine, other]
    assert ids(caller, **{"from": "B", "to": "A"}) == [str(back.pk)]
    assert ids(caller, **{"from": "D"}) == [mine, other]
    assert ids(caller, to="Z") == []
    assert ids(caller, day=back.service_date) == [str(back.pk)]
    assert ids(caller, route="back", bus="bus") == []
    Trip.objects.filter(pk=back.pk).update(status="cancelled")
    assert ids(caller) == [mine, other]
    assert ids(caller, status="cancelled") == [str(back.pk)]
    assert ids(caller, day=back.service_date) == [str(back.pk)]


def test_pages_follow_each_other(world: World, caller: Client) -> None:
    every = [str(world.trip(days=days).pk) for days in range(2, 7)]
    first = caller.get(URL, {"limit": 3}).json()
    second = caller.get(URL, {"limit": 3, "cursor": first["next"]}).json()
    assert [one["id"] for one in first["items"] + second["items"]] == every
    assert second["next"] is None


def test_the_list_asks_as_often_for_many_as_for_few(world: World, caller: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            items(caller)
        return len(captured)

    world.trip()
    queries()
    few = queries()
    for days in range(4, 9):
        world.trip(days=days)
    assert queries() == few


def test_seats_over_a_segment_and_all_the_way(world: World, caller: Client) -> None:
    put_vehicle("small", 3)
    trip = world.trip("small")
    world.sell(trip, "A-B", seat=1)
    world.hold(trip, "B-D", seat=2)
    found = caller.get(f"{URL}/{trip.pk}/seats", {"segment": "A-B"}).json()
    assert (found["tripId"], found["segment"], found["free"]) == (str(trip.pk), "A-B", 2)
    assert found["legs"] == ["A-B", "B-C", "C-D"]
    assert found["seats"][0] == {
        **{"seatNumber": 1, "row": 1, "col": 1, "state": "sold"},
        "legs": ["sold", "free", "free"],
    }
    assert [seat["state"] for seat in found["seats"]] == ["sold", "free", "free"]
    whole = caller.get(f"{URL}/{trip.pk}/seats").json()
    assert (whole["segment"], whole["free"]) == ("A-D", 1)
    assert [seat["state"] for seat in whole["seats"]] == ["sold", "held", "free"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"bus": "\x00"}, 200, ""),
        ({"bus": "x" * 81}, 422, "validation_error"),
        ({"from": "a"}, 422, "validation_error"),
        ({"from": "A\x00"}, 422, "validation_error"),
        ({"to": "A" * 21}, 422, "validation_error"),
        ({"to": "A\n"}, 422, "validation_error"),
        ({"day": "2026-02-30"}, 422, "validation_error"),
        ({"day": "never"}, 422, "validation_error"),
        ({"status": "sold"}, 422, "validation_error"),
        ({"cursor": "x"}, 422, "bad_cursor"),
        ({"limit": "0"}, 422, "validation_error"),
        ({"from": "", "to": ""}, 200, ""),
    ],
)
def test_hostile_filters(
    world: World, caller: Client, query: dict[str, str], status: int, code: str
) -> None:
    world.trip()
    answer = caller.get(URL, query)
    assert (answer.status_code, answer.json().get("code", "")) == (status, code)


@pytest.mark.parametrize(
    "segment", ["B-A", "A-A", "A-Z", "A", "A-B-C", "a-b", "A-\x00", "A-B\n", "-", "A" * 42]
)
def test_hostile_segments(world: World, caller: Client, segment: str) -> None:
    answer = caller.get(f"{URL}/{world.trip().pk}/seats", {"segment": segment})
    assert answer.status_code == 422
    assert answer.json()["code"] in {"segment_invalid", "validation_error"}


def test_what_is_not_there_and_who_may_not_see_it(world: World, caller: Client) -> None:
    trip = world.trip()
    missing = caller.get(f"{URL}/{uuid4()}/seats")
    assert (missing.status_code, missing.json()["code"]) == (404, "trip_not_found")
    assert caller.get(f"{URL}/nothing/seats").status_code == 422
    narrow = caller_of(world.people["requester"], "budgets:read")
    nobody = caller_of(User.objects.create(username="nobody"))
    for path in (URL, f"{URL}/{trip.pk}/seats"):
        assert narrow.get(path).json()["code"] == "scope_missing"
        assert nobody.get(path).json()["code"] == "permission_denied"
        assert Client().get(path).status_code == 401


def test_a_hold_that_has_ended_is_free(world: World, caller: Client, settings: Any) -> None:
    trip = world.trip()
    world.now -= timedelta(seconds=settings.RESERVATION_SECONDS)
    world.hold(trip, seat=1)
    assert caller.get(f"{URL}/{trip.pk}/seats").json()["free"] == 40
