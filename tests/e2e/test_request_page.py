"""A request's page: the decision is at hand on every screen, what is signed stays in sight."""

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DESKTOP, Site, be_live

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e

PHONES = [(390, 844), (360, 640)]


def place(name: str) -> str:
    return f"{name} {uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def waiting(shared_site: Site) -> dict[str, Any]:
    """A request that waits; no test of this module decides it."""
    return shared_site.asked(place("Makoko Health Post"), "620000.00")


def on_a_phone(site: Site, size: tuple[int, int], who: str = "reviewer", **how: Any) -> "Page":
    page = site.sign_in(who, **how)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    return page


def in_sight(part: "Locator") -> bool:
    """Whether all of it is in the window, with nothing above it at its middle."""
    return bool(
        part.evaluate(
            """part => {
              const box = part.getBoundingClientRect();
              const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
              const inside = box.height > 0 && box.top >= 0 && box.bottom <= innerHeight
                && box.left >= 0 && box.right <= innerWidth;
              return inside && part.contains(document.elementFromPoint(x, y));
            }"""
        )
    )


@pytest.mark.parametrize("size", PHONES, ids=str)
def test_on_a_phone_the_decision_is_at_hand_and_leads_to_the_form(
    size: tuple[int, int], site: Site, waiting: dict[str, Any]
) -> None:
    page = on_a_phone(site, size)
    address = f"/requests/{waiting['id']}/"
    reason = page.get_by_label("Reason")
    for verdict in ("Approve", "Reject"):
        page.goto(address)
        be_live(page)
        control = page.get_by_role("navigation", name="Your decision").get_by_role(
            "link", name=verdict
        )
        assert page.evaluate("scrollY") == 0
        assert in_sight(control)
        control.click()
        expect(page.get_by_label(verdict, exact=True)).to_be_checked()
        expect(page.locator("#decide :focus")).to_have_count(1)
        assert in_sight(page.locator("#decide :focus"))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # By keyboard alone, and what was typed stays.
    page.goto(address)
    be_live(page)
    reason.fill("Half a thought")
    # While somebody writes in the form the bar gives its room to it.
    expect(page.locator("#decide-bar")).to_be_hidden()
    reason.blur()
    page.get_by_role("link", name="Approve", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Approve", exact=True)).to_be_checked()
    expect(reason).to_be_focused()
    assert (reason.input_value(), in_sight(reason)) == ("Half a thought", True)
    # The end of the page is not behind the bar.
    page.goto(address)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    foot = page.locator("footer").bounding_box()
    above = page.locator("#decide-bar").bounding_box()
    assert foot and above and foot["y"] + foot["height"] <= above["y"] + 1


def test_on_a_phone_without_scripts_the_bar_loads_the_form_with_the_verdict(
    site: Site, waiting: dict[str, Any]
) -> None:
    page = on_a_phone(site, PHONES[1], scripts=False)
    page.goto(f"/requests/{waiting['id']}/")
    control = page.get_by_role("link", name="Reject", exact=True)
    box = control.bounding_box()
    assert box and box["y"] + box["height"] <= PHONES[1][1]
    control.click()
    page.wait_for_url("**/?verdict=reject#decide")
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    expect(page.get_by_label("Reject", exact=True)).to_be_in_viewport()


def test_on_a_phone_who_may_not_decide_is_told_why_and_the_bar_goes_when_it_is_decided(
    site: Site,
) -> None:
    request = site.asked(place("Sagamu bridge"))
    page = on_a_phone(site, PHONES[0], "requester")
    page.goto(f"/requests/{request['id']}/")
    be_live(page)
    shown = page.locator("#decide-bar")
    expect(shown).to_contain_text("Nobody signs what they asked for.")
    assert in_sight(shown)
    decision = {"verdict": "reject", "reason": "No.", "payload_hash": request["payload_hash"]}
    key = site.stack.api_key("reviewer")
    assert site.call("POST", f"/approvals/{request['id']}/decide", decision, key)[0] == 200
    expect(shown).to_be_hidden()


def test_on_a_desktop_what_is_signed_the_decision_and_the_clock_are_in_sight_at_once(
    site: Site, waiting: dict[str, Any]
) -> None:
    page = site.sign_in("reviewer", width=DESKTOP)
    page.goto(f"/requests/{waiting['id']}/")
    be_live(page)
    parts = {
        "title": page.locator("h1"),
        "clock": page.locator("#request-head .strip"),
        "amount": page.locator("#request-asked .amount-big"),
        "seal": page.locator("#seal summary"),
        "decision": page.get_by_role("button", name="Sign the decision"),
    }
    assert {name: in_sight(part) for name, part in parts.items()} == dict.fromkeys(parts, True)
    expect(page.locator("#decide-bar")).to_be_hidden()


def test_the_engines_events_are_behind_a_switch_that_is_remembered(
    site: Site, waiting: dict[str, Any]
) -> None:
    page = site.sign_in("reviewer")
    page.goto(f"/requests/{waiting['id']}/")
    be_live(page)
    event = page.locator("#timeline .engine").first
    switch = page.get_by_label("Show the engine’s events")
    expect(page.locator("#timeline")).to_contain_text("Asked for a signature")
    expect(event).to_be_attached()
    expect(event).to_be_hidden()
    switch.check()
    expect(event).to_be_visible()
    # A live update brings the timeline anew, switched as it was.
    other = site.sign_in("reviewer2")
    other.goto(f"/requests/{waiting['id']}/")
    other.fill("#comment-text", "Who pays the roofer?")
    other.get_by_role("button", name="Comment").click()
    expect(page.locator("#timeline")).to_contain_text("Who pays the roofer?")
    expect(switch).to_be_checked()
    expect(event).to_be_visible()
    page.reload()
    expect(event).to_be_visible()
    times = page.locator("#timeline time[data-when=clock]")
    expect(times.first).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\dT[\d:]{8}[+-]"))
    still = site.sign_in("reviewer", scripts=False)
    still.goto(f"/requests/{waiting['id']}/")
    expect(still.locator("#timeline .engine").first).to_be_hidden()
    still.get_by_label("Show the engine’s events").check()
    expect(still.locator("#timeline .engine").first).to_be_visible()
