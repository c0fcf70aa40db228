"""Coded reasons as a reviewer chooses them: by keyboard, on a phone, kept as what is typed."""

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DESKTOP, PHONE, Site, be_live
from tests.e2e.test_looks import picture, problems

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e
GROUNDS = "Grounds to reject"


def fits(page: "Page") -> bool:
    return bool(page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"))


def test_a_reviewer_rejects_with_a_code_alone_by_keyboard(site: Site) -> None:
    request = site.asked(f"Twice asked {uuid4().hex[:6]}")
    page = site.sign_in("reviewer", width=PHONE)
    page.goto(f"/requests/{request['id']}/")
    grounds = page.get_by_label(GROUNDS)
    expect(grounds).to_be_hidden()
    page.keyboard.press("a")
    expect(grounds).to_be_hidden()
    page.locator("body").click(position={"x": 1, "y": 1})
    page.keyboard.press("r")
    expect(grounds).to_be_visible()
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(grounds).to_be_focused()
    page.keyboard.type("Dup")
    expect(grounds).to_have_value("duplicate")
    assert problems(page) == []
    assert fits(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Rejected. Whoever asked can read your reason.")).to_be_visible()
    expect(page.locator("#request-signatures")).to_contain_text("Duplicate of another payment")
    expect(page.locator("#timeline")).to_contain_text("Rejected: Duplicate of another payment")
    ended = site.ends_as(request["intervention"], "rejected")
    assert "Duplicate of another payment" in str(ended)


def test_what_was_typed_for_a_request_that_somebody_else_has_decided_is_gone(site: Site) -> None:
    rows = [site.asked(f"Decided {number} {uuid4().hex[:6]}") for number in range(2)]
    page = site.sign_in("reviewer")
    for row in rows:
        page.goto(f"/requests/{row['id']}/")
        be_live(page)
        page.get_by_label("Reject", exact=True).check()
        page.get_by_label("Reason").fill("Secret of the clinic.")
        page.wait_for_function("() => localStorage.getItem('drafts')?.includes('Secret')")
    # The first is decided while its page is shut, the second while it is open.
    key = site.stack.api_key("reviewer2")
    for row in rows:
        body = {
            "verdict": "approve",
            "reason": "In order.",
            "payload_hash": row["payload_hash"],
        }
        assert site.call("POST", f"/approvals/{row['id']}/decide", body, key)[0] == 200
    expect(page.locator("#decide-title")).to_have_text("Decided")
    page.wait_for_function(
        "key => !localStorage.getItem('drafts')?.includes(key)", arg=rows[1]["id"]
    )
    assert rows[0]["id"] in page.evaluate("() => localStorage.getItem('drafts')")
    page.goto(f"/requests/{rows[0]['id']}/")
    page.wait_for_function("() => !localStorage.getItem('drafts')?.includes('Secret')")


def test_what_was_chosen_is_kept_over_a_reload_a_change_beside_it_and_a_refusal(
    site: Site,
) -> None:
    request = site.asked(f"Chosen before {uuid4().hex[:6]}")
    page = site.sign_in("reviewer")
    place = f"/requests/{request['id']}/"
    page.goto(place)
    be_live(page)
    page.get_by_label("Reject", exact=True).check()
    page.get_by_label(GROUNDS).select_option("other")
    # Somebody takes it on and gives it back: the form is exchanged, and what was chosen stays.
    key = site.stack.api_key("reviewer2")
    for verb in ("claim", "release"):
        assert site.call("POST", f"/approvals/{request['id']}/{verb}", {}, key)[0] == 200
        expect(page.get_by_label(GROUNDS)).to_have_count(0 if verb == "claim" else 1)
    expect(page.get_by_label(GROUNDS)).to_have_value("other")
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    page.reload()
    expect(page.get_by_label(GROUNDS)).to_have_value("other")
    expect(page.get_by_label(GROUNDS)).to_be_visible()
    page.get_by_role("button", name="Sign the decision").click()
    expect(page.get_by_text("This field is required.")).to_be_visible()
    expect(page.get_by_label(GROUNDS)).to_have_value("other")
    page.get_by_label("Reason").fill("The clinic has closed.")
    for width in (DESKTOP, PHONE):
        for theme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            picture(page, f"reasons-{width}-{theme}")
            assert fits(page)
    page.get_by_role("button", name="Sign the decision").click()
    expect(page.locator("#request-signatures")).to_contain_text("Other")
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 900})
        picture(page, f"reasons-signed-{width}")
