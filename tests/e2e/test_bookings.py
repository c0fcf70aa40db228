"""Seats: what is given back in one browser is free in another; booking without a mouse."""

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, be_live, stay, tab_to
from tests.support import eventually, patient, within

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e


def trip_of(site: Site, number: int) -> str:
    """The id of that open trip of the demo's bus."""
    status, answer = site.call("GET", "/trips?bus=demo-bus")
    assert status == 200, answer
    return str(answer["items"][number]["id"])


def seat(page: "Page", number: int, use: str) -> "Locator":
    """The seat on the map of the leg, if it is that."""
    return page.locator(f"#map-seat-{number}[aria-label='Seat {number}: {use}']")


def test_a_cancelled_seat_is_free_in_another_browser_within_two_seconds(site: Site) -> None:
    trip, number = trip_of(site, 0), 7
    key = site.stack.api_key("agent")
    body = {"userId": "demo-rider", "busId": "demo-bus", "segment": "A-B", "tripId": trip}
    status, answer = site.call("POST", "/bookings", {**body, "seatNumber": number}, key)
    assert status == 201, answer
    address = f"/bookings/{answer['workflowId']}/status"
    booking = eventually(lambda: site.call("GET", address, None, key)[1].get("bookingId"))
    watching = site.sign_in("requester")
    watching.goto(f"/trips/{trip}/")
    be_live(watching)
    stayed = stay(watching)
    expect(seat(watching, number, "sold")).to_be_visible()
    agent = site.sign_in("agent")
    agent.goto(f"/bookings/{booking}/")
    agent.locator("#cancel-box > summary").click()
    with within(2):
        agent.get_by_role("button", name="Cancel the booking").click()
        expect(seat(watching, number, "free")).to_be_visible(timeout=patient(10) * 1000)
    assert stayed()


def test_a_seat_is_booked_with_the_keyboard_alone(site: Site) -> None:
    number = 18
    page = site.sign_in("agent")
    page.goto("/trips/?bus=demo-bus")
    be_live(page)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Seat map").wait_for()
    be_live(page)
    # From the trip to its second leg, to a seat, to what is known of it, to the form.
    tab_to(page, page.locator("#leg-2"))
    page.keyboard.press("Enter")
    expect(page.locator("#leg-2")).to_have_attribute("aria-current", "true")
    be_live(page)
    tab_to(page, page.locator(f"#map-seat-{number}"))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**#about-seat-{number}-1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name=f"Book seat {number} from B to C")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Book a seat").wait_for()
    tab_to(page, page.locator("#id_user_id"))
    page.keyboard.type("demo-rider")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Stretch")).to_be_focused()
    expect(page.get_by_label("Stretch")).to_have_value("B-C")
    expect(page.get_by_label("Seat")).to_have_value(str(number))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".badge", has_text="confirmed").first).to_be_visible()
    page.get_by_role("link", name="Demo line, A to D").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Seat map").wait_for()
    be_live(page)
    tab_to(page, page.locator("#leg-2"))
    page.keyboard.press("Enter")
    expect(seat(page, number, "sold")).to_be_visible()
