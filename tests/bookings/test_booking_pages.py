"""Pages that people work with: a seat is booked from its trip; the manifest that a driver takes."""

import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.selectors import requests_about_some
from apps.bookings.contracts import REFUND
from apps.bookings.models import Booking, ManifestLine, Trip
from apps.bookings.services.cancelling import booking_cancel
from apps.bookings.services.payment import wallet_payment
from apps.bookings.services.settling import booking_settle
from apps.common.errors import NotFound
from tests.bookings.conftest import World, browser_of, put_rider, put_route
from tests.bookings.paid import move, paid_booking


@pytest.fixture
def agent(world: World) -> Client:
    return browser_of(world.people["agent"])


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return unescape(response.content.decode())


def words(page: str) -> str:
    """What is read on the page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def travels(world: World, trip: Trip, rider: str, segment: str, seat: int) -> Booking:
    booking = world.sell(trip, segment, seat)
    Booking.objects.filter(pk=booking.pk).update(user_id=rider)
    ManifestLine.objects.create(
        trip=trip,
        booking=booking,
        seat_number=seat,
        from_n=booking.from_n,
        to_n=booking.to_n,
    )
    return booking


# --- booking ------------------------------------------------------------------------------------
def test_a_seat_is_booked_from_its_trip_without_typing_a_code(
    world: World, agent: Client, django_capture_on_commit_callbacks: Any
) -> None:
    put_rider("ada", "5000.00")
    trip = world.trip()
    world.sell(trip, "A-B", seat=1)
    page = text(agent.get(f"/trips/{trip.pk}/?leg=2"))
    at = f"/bookings/new/?trip={trip.pk}&stretch=B-C"
    assert f'href="{at}"' in page
    assert f'href="{at}&seat=1"' in page
    # It is sold on this leg.
    assert 'stretch=A-B&seat=1"' not in text(agent.get(f"/trips/{trip.pk}/"))
    form = text(agent.get(f"{at}&seat=1"))
    assert "Stop B to Stop C, NGN\N{NO-BREAK SPACE}1,600.00" in form
    assert '<option value="B-C" selected>' in form
    assert "Line with Bus, which leaves on" in form
    sent = {"user_id": "ada", "payment_method": "wallet", "idempotency_key": "k", "segment": "B-C"}
    hidden = re.findall(r'<input type="hidden" name="(bus_id|trip_id)" value="([^"]+)"', form)
    sent |= dict(hidden) | {"seat_number": "1"}
    assert {"bus_id", "trip_id"} <= set(sent)
    with django_capture_on_commit_callbacks():
        assert agent.post("/bookings/new/", sent).status_code == 302
    booking = Booking.objects.get(user_id="ada")
    assert (booking.trip_id, booking.segment, booking.wanted_seat) == (trip.pk, "B-C", 1)
    assert booking.fare == Decimal("1600")


def test_stretches_whose_sale_is_over_are_not_offered(world: World, agent: Client) -> None:
    trip = world.trip()
    Trip.objects.filter(pk=trip.pk).update(sales_closed=1)
    form = text(agent.get(f"/bookings/new/?trip={trip.pk}&stretch=A-B"))
    assert re.findall(r'<option value="(\w-\w)"', form) == ["B-C"]
    for unknown in ("", "x", "0198a0b0-0000-7000-8000-000000000000"):
        assert 'name="bus_id" maxlength' in text(agent.get(f"/bookings/new/?trip={unknown}"))


def test_a_trip_that_is_not_on_sale_offers_no_booking(world: World, agent: Client) -> None:
    trip = world.trip()
    Trip.objects.filter(pk=trip.pk).update(status="closed")
    assert "/bookings/new/" not in text(agent.get(f"/trips/{trip.pk}/")).split("<main")[1]
    auditor = browser_of(world.people["auditor"])
    Trip.objects.filter(pk=trip.pk).update(status="open")
    assert "/bookings/new/" not in text(auditor.get(f"/trips/{trip.pk}/")).split("<main")[1]


# --- the manifest -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("zone", "day", "leaves", "arrives"),
    [
        # Over midnight; Lagos has no summer time.
        (
            "Africa/Lagos",
            date(2026, 10, 24),
            "24 Oct 2026, 22:30 UTC+01:00",
            "25 Oct 2026, 02:15 UTC+01:00",
        ),
        # The clocks are put forward in the night.
        (
            "Europe/Berlin",
            date(2026, 3, 28),
            "28 Mar 2026, 22:30 UTC+01:00",
            "29 Mar 2026, 03:15 UTC+02:00",
        ),
        # They are put back: a quarter past one comes twice, and this is the second time.
        (
            "America/New_York",
            date(2026, 10, 31),
            "31 Oct 2026, 22:30 UTC-04:00",
            "1 Nov 2026, 01:15 UTC-05:00",
        ),
    ],
)
def test_times_over_midnight_and_a_change_of_clocks(
    world: World, agent: Client, zone: str, day: date, leaves: str, arrives: str
) -> None:
    put_route("night", "AB", zone=zone, fares={"A-B": Decimal("1500")})
    clocks = [("22:30", "22:30"), ("26:15", "26:15")]
    trip = world.trip(route="night", service_date=day, clocks=clocks)
    # It is sold on the day before.
    world.now = trip.departs_at - timedelta(days=1)
    booking = travels(world, trip, "ada", "A-B", 3)
    for address in (f"/trips/{trip.pk}/", f"/trips/{trip.pk}/manifest/"):
        page = words(text(agent.get(address)))
        assert f"in {zone}" in page
        assert leaves in page
        assert arrives in page
    assert leaves in words(text(agent.get(f"/bookings/{booking.pk}/")))
    assert leaves in words(text(agent.get(f"/bookings/new/?trip={trip.pk}")))


def test_the_manifest_names_who_gets_on_and_off_where(world: World, agent: Client) -> None:
    put_rider("ada", "5000.00")
    trip = world.trip()
    travels(world, trip, "ada", "A-B", 1)
    travels(world, trip, "passer-by", "A-C", 2)
    page = text(agent.get(f"/trips/{trip.pk}/manifest/"))
    stops = re.findall(r"Stop (\w) \(\w\)</strong>.*?</tr>", page, re.DOTALL)
    assert stops == list("ABCD")
    said = words(page)
    assert "get on: 2" in said
    assert said.count("get off: 1") == 2
    assert "from Stop A (A) to Stop C (C) passer-by" in said
    assert "Seat 1 Ada from Stop A (A)" in said


def test_names_are_shown_to_those_who_may_see_riders(world: World) -> None:
    put_rider("ada", "5000.00")
    trip = world.trip()
    travels(world, trip, "ada", "A-B", 1)
    driver = User.objects.create(username="driver")
    driver.user_permissions.add(Permission.objects.get(codename="view_manifest"))
    page = text(browser_of(driver).get(f"/trips/{trip.pk}/manifest/"))
    assert "ada" in page
    assert "Ada" not in words(page)


def test_a_manifest_costs_as_many_questions_however_many_travel(
    world: World, agent: Client
) -> None:
    trip = world.trip()

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            text(agent.get(f"/trips/{trip.pk}/manifest/"))
        return len(captured)

    travels(world, trip, "ada", "A-B", 1)
    queries()
    few = queries()
    for seat in range(2, 6):
        travels(world, trip, f"rider-{seat}", "A-C", seat)
    assert queries() == few


# --- what came of it ----------------------------------------------------------------------------
def test_what_failed_is_told_in_words_with_what_to_do_now(world: World, agent: Client) -> None:
    booking = world.hold(world.trip())
    with pytest.raises(NotFound):
        wallet_payment(booking_id=booking.pk, as_of=world.now)
    booking_settle(
        booking_id=booking.pk,
        status="failed",
        code="wallet_not_found",
        detail="There is no such wallet.",
    )
    page = words(text(agent.get(f"/bookings/{booking.pk}/")))
    assert "Check the rider's id" in page
    assert "The seat is free again." in page
    assert "There is no such wallet." in page
    assert "wallet_not_found" not in page


def test_a_cancelled_booking_is_no_failure_and_shows_who_signs_its_refund(
    world: World, agent: Client
) -> None:
    trip = world.trip()
    move(trip, timezone.now() + timedelta(hours=5))
    booking = paid_booking(world, trip=trip)
    about: dict[str, Any] = {
        "by": world.people["agent"],
        "via": "page",
        "reason": "Ill.",
        "as_of": timezone.now(),
    }
    booking_cancel(booking_id=booking.pk, **about)
    page = text(agent.get(f"/bookings/{booking.pk}/"))
    assert '<div class="note note-info head-wide">' in page
    assert "Give NGN 750.00 back to ada" in words(page)
    refund = booking.refunds.get()
    (request,) = requests_about_some(REFUND, [refund.pk])
    assert f'href="/requests/{request.pk}/"' in page
    form = words(text(agent.get(f"/refunds/new/?booking={booking.pk}")))
    assert "NGN 1,500.00 was paid, and at most NGN 750.00 of it can go back." in form
    signer = browser_of(world.people["senior"])
    signed = words(text(signer.get(f"/requests/{request.pk}/")))
    assert "From Stop A (A)" in signed
    nobody = User.objects.create(username="asks")
    nobody.user_permissions.add(Permission.objects.get(codename="request_refund"))
    hidden = text(browser_of(nobody).get(f"/refunds/new/?booking={booking.pk}"))
    assert "was paid" not in words(hidden)
