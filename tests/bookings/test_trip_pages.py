"""Pages of trips: the list, one trip with its times and its seat map; the admin; search."""

import re
from datetime import date
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.bookings.forms import TripFilter
from apps.bookings.models import Route, Stop, Trip, Vehicle
from apps.live import broadcast as broadcast_module
from apps.web import search
from apps.web.search_query import Query
from tests.bookings.conftest import World, browser_of, put_route, put_vehicle
from tests.plans import plan_by_index


@pytest.fixture
def client(world: World) -> Client:
    return browser_of(world.people["requester"])


@pytest.fixture
def admin(world: World) -> Client:
    return browser_of(world.people["admin"])


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return unescape(response.content.decode())


# --- the list ------------------------------------------------------------------------------------
def test_the_list_says_when_they_leave_and_how_full_they_are(world: World, client: Client) -> None:
    trip = world.trip()
    world.sell(trip, "A-B", seat=1)
    world.hold(trip, "B-C", seat=1)
    page = text(client.get("/trips/"))
    assert f'href="/trips/{trip.pk}/"' in page
    assert "1 of 40" in page
    assert "on sale" in page
    assert 'href="/trips/"' in page, "in the navigation"


def test_the_list_costs_as_many_questions_however_many_there_are(
    world: World, client: Client
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/trips/")
        return len(captured)

    world.sell(world.trip())
    queries()
    few = queries()
    for days in range(4, 8):
        world.sell(world.trip(days=days))
    assert queries() == few


def test_trips_that_are_over_are_found_by_status_or_day(world: World, client: Client) -> None:
    trip = world.trip()
    Trip.objects.filter(pk=trip.pk).update(status="done")
    row = f'href="/trips/{trip.pk}/"'
    assert row not in text(client.get("/trips/"))
    assert row in text(client.get("/trips/?status=done"))
    assert row in text(client.get(f"/trips/?day={trip.service_date}&sort=departs_last"))
    assert row not in text(client.get("/trips/?day=never&bus=%00"))


def test_indexes_give_the_list_its_order(world: World) -> None:
    user = world.people["requester"]
    listed = [({}, "trip_current_departs"), ({"day": date(2026, 3, 28)}, "trip_day")]
    for values, index in listed:
        rows = TripFilter.select(Trip.objects.all(), values, user=user)
        plan_by_index(rows.order_by("departs_at", "pk")[:51], index)


def test_files_of_the_list(world: World, client: Client) -> None:
    world.trip()
    response = client.post("/trips/list.csv")
    content = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    assert content.splitlines()[0].lstrip("\ufeff").startswith("id,name,bus,departs_at")
    assert "0 of 40" in content


# --- one trip ------------------------------------------------------------------------------------
def test_a_trip_over_midnight_and_a_change_of_clocks_has_the_times_of_its_route(
    world: World, client: Client
) -> None:
    put_route("night", "AB", zone="Europe/Lisbon", fares={})
    clocks = [("22:30", "22:30"), ("26:15", "26:15")]
    trip = world.trip(route="night", service_date=date(2026, 3, 28), clocks=clocks)
    page = text(client.get(f"/trips/{trip.pk}/"))
    assert "in Europe/Lisbon" in page
    assert "28 Mar 2026, 22:30 UTC+00:00" in page
    assert "29 Mar 2026, 03:15 UTC+01:00" in page
    assert "Stop A (A)" in page


def test_the_map_of_a_leg_can_be_read_and_reached_without_colour_and_mouse(
    world: World, client: Client
) -> None:
    put_vehicle("small", 4)
    trip = world.trip("small")
    world.sell(trip, "A-C", seat=1)
    world.hold(trip, "B-D", seat=2)
    trip.seats.filter(number=4).update(blocked=True)

    def said(query: str) -> list[str]:
        page = text(client.get(f"/trips/{trip.pk}/{query}"))
        return re.findall(r'aria-label="(Seat \d: \w+)"', page)

    first = ["Seat 1: sold", "Seat 2: free", "Seat 3: free", "Seat 4: blocked"]
    assert said("") == said("?leg=1") == said("?leg=9") == said("?leg=%00") == first
    assert said("?leg=2") == ["Seat 1: sold", "Seat 2: held", "Seat 3: free", "Seat 4: blocked"]
    page = text(client.get(f"/trips/{trip.pk}/?leg=2"))
    assert 'aria-label="Seats from B to C"' in page
    (current,) = re.findall(r'<a id="leg-(\d)"[^>]*aria-current="true"', page)
    assert current == "2"
    # Each seat is a link to its row, which says what it is on every leg.
    targets = re.findall(r'<a id="map-seat-\d" href="#([^"]+)"', page)
    assert len(targets) == 4
    assert all(f'id="{target}"' in page for target in targets)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "A–C" in page
    assert "B–D" in page
    # Every state has marks of its own.
    marks = {
        use: re.search(rf'seat-{use}"[^>]*>\s*<rect[^>]*></rect>\s*(<path d="[^"]*")?', page)
        for use in ("free", "held", "sold", "blocked")
    }
    assert len({found and found[1] for found in marks.values()}) == 4
    assert not re.search(r"\sstyle=", page)


def test_the_page_and_its_fragment_cost_few_questions(world: World, client: Client) -> None:
    trip = world.trip()

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            text(client.get(path))
        return len(captured)

    for path in (f"/trips/{trip.pk}/", f"/trips/{trip.pk}/live/?leg=2"):
        queries(path)
        few = queries(path)
        for _ in range(5):
            world.sell(trip, "B-C")
        assert queries(path) == few


def test_who_may_not_see_trips_and_what_is_not_there(world: World, client: Client) -> None:
    trip = world.trip()
    nobody = browser_of(User.objects.create(username="nobody"))
    for path in ("/trips/", f"/trips/{trip.pk}/"):
        assert nobody.get(path).status_code == 403
    assert nobody.get(f"/trips/{trip.pk}/live/").status_code == 404
    for missing in ("0198a0b0-0000-7000-8000-000000000000", "x"):
        assert client.get(f"/trips/{missing}/").status_code == 404


def test_pages_hear_of_seats_and_of_changes(
    world: World, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    trip = world.trip()
    told: list[str] = []
    monkeypatch.setattr(
        broadcast_module._publisher, "publish", lambda message: told.append(message["topic"])
    )
    with django_capture_on_commit_callbacks(execute=True):
        world.sell(trip)
    assert told == [f"trip:{trip.pk}"] * 3


# --- search --------------------------------------------------------------------------------------
def test_a_trip_is_found_by_its_bus_and_its_id(world: World) -> None:
    trip = world.trip()
    user = world.people["requester"]
    for words in ("bus", str(trip.pk), str(trip.pk)[:13]):
        answer = search.search(user, Query(words), search.sources(user))
        (group,) = [one for one in answer.groups if one.source.key == "trips"]
        assert [found.href for found in group.found] == [f"/trips/{trip.pk}/"]
    nobody = User.objects.create(username="nobody")
    assert "trips" not in {source.key for source in search.sources(nobody)}


# --- the admin -----------------------------------------------------------------------------------
def sent(client: Client, path: str, **form: Any) -> Any:
    """Send a form with a preview, then the stamp of its preview."""
    shown = client.post(path, form)
    stamp = re.search(r'name="stamp" value="([^"]+)"', shown.content.decode())
    if stamp is None:
        return shown
    return client.post(path, {**form, "stamp": stamp[1], "_run": "1"}, follow=True)


def test_the_network_is_kept_in_the_admin(world: World, admin: Client) -> None:
    stop = {"code": "E", "name": "Stop E", "zone": "Africa/Lagos"}
    assert admin.post(reverse("admin:bookings_stop_put"), stop).status_code == 302
    vehicle = {"code": "van", "name": "Van", "seats": "1 . 2\r\n3 . 4"}
    assert admin.post(reverse("admin:bookings_vehicle_put"), vehicle).status_code == 302
    van = Vehicle.objects.get(code="van")
    assert list(van.seats.order_by("number").values_list("row", "col")) == [
        *((1, 1), (1, 3), (2, 1), (2, 3))
    ]
    route = {"code": "short", "name": "Short", "currency": "NGN", "zone": "Africa/Lagos"}
    route |= {"stops": "A E", "fares": "A-E 750.50"}
    assert admin.post(reverse("admin:bookings_route_put"), route).status_code == 302
    short = Route.objects.get(code="short")
    end = Stop.objects.get(code="E")
    for row, words in ((van, "1 . 2\n3 . 4"), (short, "A-E 750.50"), (end, "Stop E")):
        address = f"admin:bookings_{row._meta.model_name}_put_from"
        assert words in text(admin.get(reverse(address, args=[row.pk]))).replace("\r", "")
    for name, form in (
        ("stop", {**stop, "zone": "Moon"}),
        ("vehicle", {**vehicle, "seats": "1 1"}),
        ("vehicle", {**vehicle, "seats": "x"}),
        ("route", {**route, "fares": "A-E x"}),
        ("route", {**route, "stops": "A E A"}),
    ):
        assert admin.post(reverse(f"admin:bookings_{name}_put"), form).status_code == 422


def test_trips_are_opened_delayed_and_swapped_in_the_admin(world: World, admin: Client) -> None:
    put_vehicle("small", 10)
    form = {"route": "line", "vehicle": "bus", "service_date": "2026-12-24"}
    form |= {"clocks": "08:00\n09:00 09:10\n10:00\n24:30"}
    sent(admin, reverse("admin:bookings_trip_open"), **form)
    trip = Trip.objects.get()
    assert f"{trip.stops.get(n=4).arrives_at:%d %H:%M}" == "24 23:30"
    delay = reverse("admin:bookings_trip_delay", args=[trip.pk])
    sent(admin, delay, minutes="15", from_n="2", version="1", reason="Rain.")
    assert f"{trip.stops.get(n=2).departs_at:%H:%M}" == "08:25"
    swap = reverse("admin:bookings_trip_swap", args=[trip.pk])
    sent(admin, swap, vehicle="small", reason="A breakdown.")
    trip.refresh_from_db()
    assert (trip.vehicle.code, trip.version) == ("small", 3)
    assert sent(admin, delay, minutes="15", from_n="2", version="1", reason="x").status_code == 422
    wrong = {**form, "clocks": "08:00 08:10 08:20"}
    assert admin.post(reverse("admin:bookings_trip_open"), wrong).status_code == 422
    operator = browser_of(world.people["operator"])
    assert operator.get(delay).status_code == 403
