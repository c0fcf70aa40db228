"""What is typed outlives the session, stays bound to what was read, and is nobody else's to see."""

import json
import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, be_live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Response, Route

pytestmark = pytest.mark.e2e

REASON = "The invoice names another clinic.\nI have asked for a new one."
STORED = "() => localStorage.getItem('drafts') ?? ''"


@pytest.fixture
def site(site: Site) -> "Iterator[Site]":
    """Sessions are deleted here: those that other tests would sign in with are made anew."""
    site.cookies.clear()
    yield site
    site.cookies.clear()


def place(name: str) -> str:
    return f"{name} {uuid4().hex[:6]}"


def end_session(site: Site, page: "Page") -> None:
    """As the server does when it is over: the browser is not told."""
    key = next(c["value"] for c in page.context.cookies() if c["name"] == "sessionid")
    site.stack.sql("DELETE FROM accounts_usersession WHERE session_id = %s RETURNING 1", key)
    assert site.stack.sql("DELETE FROM django_session WHERE session_key = %s RETURNING 1", key)


def sign_in_again(page: "Page", name: str) -> None:
    page.wait_for_url(re.compile("/login/"))
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", "demo")
    page.get_by_role("button", name="Sign in").click()


def kept(page: "Page") -> None:
    expect(page.get_by_role("status").filter(has_text="We kept what you typed at")).to_be_visible()


def test_a_decision_that_was_sent_too_late_is_there_again_and_gone_once_it_is_signed(
    site: Site,
) -> None:
    request = site.asked(place("Late clinic"))
    page = site.sign_in("reviewer", sockets=False)
    page.goto(f"/requests/{request['id']}/")
    page.get_by_label("Reject", exact=True).check()
    page.get_by_label("Reason").fill(REASON)
    end_session(site, page)
    page.get_by_role("button", name="Sign the decision").click()
    sign_in_again(page, "reviewer")
    page.wait_for_url(re.compile(f"/requests/{request['id']}/$"))
    kept(page)
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    expect(page.locator("#decide [name=payload_hash]")).to_have_value(request["payload_hash"])
    page.get_by_role("button", name="Sign the decision").click()
    expect(page.get_by_text("Rejected. Whoever asked can read your reason.")).to_be_visible()
    assert "invoice" not in page.evaluate(STORED)
    site.ends_as(request["intervention"], "rejected")


def test_a_live_page_that_leads_to_the_sign_in_loses_nothing(site: Site) -> None:
    request = site.asked(place("Live clinic"))
    page = site.sign_in("reviewer")
    page.goto(f"/requests/{request['id']}/")
    be_live(page)
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_label("Add a comment").fill("Who has the delivery note?")
    end_session(site, page)
    site.asked(place("Whatever changes the counts"))
    sign_in_again(page, "reviewer")
    page.wait_for_url(re.compile(f"/requests/{request['id']}/$"))
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    expect(page.get_by_label("Approve", exact=True)).to_be_checked()
    expect(page.get_by_label("Add a comment")).to_have_value("Who has the delivery note?")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator("#request-comments")).to_contain_text("Who has the delivery note?")
    expect(page.get_by_label("Add a comment")).to_have_value("")
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    # By keyboard: what is kept can be thrown away, and the focus goes to the field.
    discard = page.locator("#decide").get_by_role("button", name="Discard")
    discard.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#decide").get_by_role("status")).to_have_text("Discarded.")
    expect(page.get_by_label("Reason")).to_have_value("")
    assert "invoice" not in page.evaluate(STORED)


def test_a_page_of_several_parts_goes_to_the_sign_in_once(site: Site) -> None:
    request = site.asked(place("Parts"))
    page = site.sign_in("reviewer")
    page.goto(f"/requests/{request['id']}/")
    be_live(page)
    parts = page.locator("[data-live]").count()
    assert parts > 1
    leaving: list[Route] = []
    refused: list[Response] = []

    def all_refused(response: "Response") -> bool:
        if response.status == 401:
            refused.append(response)
        return len(refused) == parts

    # The sign-in does not answer before every part was told to go there.
    page.route(re.compile("/login/"), lambda route: leaving.append(route))
    end_session(site, page)
    with (
        page.expect_request(re.compile("/login/")),
        page.expect_event("response", all_refused),
    ):
        page.evaluate(
            "document.querySelectorAll('[data-live]').forEach(e => htmx.trigger(e, 'live'))"
        )
    page.context.cookies()  # By the time of this answer the route has been told of the request.
    leaving[-1].continue_()
    page.wait_for_url(re.compile("/login/"))
    assert len(leaving) == 1


def test_what_was_typed_stays_bound_to_the_version_that_was_read(site: Site) -> None:
    request = site.asked(place("Changing clinic"))
    page = site.sign_in("reviewer", sockets=False)
    page.goto(f"/requests/{request['id']}/")
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Reason").fill(REASON)
    end_session(site, page)
    edit = {"changes": {"target": "Another clinic altogether"}, "reason": "The first has moved."}
    status, edited = site.call(
        "POST",
        f"/approvals/{request['id']}/edit",
        {**edit, "payload_hash": request["payload_hash"]},
        site.stack.api_key("reviewer2"),
    )
    assert status == 200, edited
    page.get_by_role("button", name="Sign the decision").click()
    sign_in_again(page, "reviewer")
    kept(page)
    note = page.locator("#decide").get_by_role("status")
    expect(note).to_contain_text("It has changed since you read it.")
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    seen = page.locator("#decide [name=payload_hash]")
    expect(seen).to_have_value(request["payload_hash"])
    page.get_by_role("button", name="Sign the decision").click()
    refusal = page.locator("#refusal")
    expect(refusal).to_have_attribute("data-code", "payload_changed")
    expect(refusal).to_contain_text("Another clinic altogether")
    expect(page.get_by_label("Reason")).to_have_value(REASON)

    # Or after reading it, said by a button.
    page.goto(f"/requests/{request['id']}/")
    page.get_by_label("Reason").fill("Shorter.")
    expect(seen).to_have_value(edited["payload_hash"])


def test_whoever_reads_the_new_version_can_say_so(site: Site) -> None:
    request = site.asked(place("Read again"))
    page = site.sign_in("reviewer", sockets=False)
    page.goto(f"/requests/{request['id']}/")
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Reason").fill(REASON)
    body = {"changes": {"target": "Elsewhere"}, "reason": "It has moved."}
    _, edited = site.call(
        "POST",
        f"/approvals/{request['id']}/edit",
        {**body, "payload_hash": request["payload_hash"]},
        site.stack.api_key("reviewer2"),
    )
    page.reload()
    page.get_by_role("button", name="I have read it, use this for what is shown now").click()
    expect(page.locator("#decide [name=payload_hash]")).to_have_value(edited["payload_hash"])
    expect(page.get_by_label("Reason")).to_be_focused()
    page.get_by_role("button", name="Sign the decision").click()
    expect(page.get_by_text("Approved. The programs take it from here")).to_be_visible()


def test_signing_out_removes_what_was_typed_in_every_tab(site: Site) -> None:
    request = site.asked(place("Signing out"))
    page = site.sign_in("reviewer", sockets=False)
    page.goto(f"/requests/{request['id']}/")
    page.get_by_label("Reason").fill(REASON)
    page.wait_for_function("() => (localStorage.getItem('drafts') ?? '').includes('invoice')")
    other = page.context.new_page()
    other.goto("/")
    other.locator("#me summary").click()
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url(re.compile("/login/"))
    assert other.evaluate(STORED) == ""
    # The tab that is still open keeps nothing any more.
    page.get_by_label("Reason").fill("Typed after signing out.")
    page.close()
    assert other.evaluate(STORED) == ""
    sign_in_again(other, "reviewer")
    other.goto(f"/requests/{request['id']}/")
    expect(other.get_by_label("Reason")).to_have_value("")


def test_another_person_at_the_same_computer_sees_nothing_and_nothing_stays(site: Site) -> None:
    request = site.asked(place("Shared computer"))
    page = site.sign_in("reviewer", sockets=False)
    page.goto(f"/requests/{request['id']}/")
    page.get_by_label("Reason").fill(REASON)
    end_session(site, page)
    page.reload()
    sign_in_again(page, "reviewer2")
    page.wait_for_url(re.compile(f"/requests/{request['id']}/$"))
    expect(page.get_by_label("Reason")).to_have_value("")
    expect(page.get_by_text("We kept what you typed")).to_have_count(0)
    assert "invoice" not in page.evaluate(STORED)


def test_deciding_together_can_be_opened_again(site: Site) -> None:
    asked = [site.asked(place("Together")) for _ in range(2)]
    page = site.sign_in("reviewer", sockets=False)
    page.goto("/inbox/")
    for one in asked:
        page.locator(f"input[name=ids][value='{one['id']}']").check()
    page.locator("#bulk-form").get_by_role("button").first.click()
    page.get_by_label("Reject", exact=True).check()
    page.get_by_label("Reason").fill(REASON)
    page.locator("input[name=item]").first.uncheck()
    left = page.locator("input[name=item]").nth(1).get_attribute("value") or ""
    end_session(site, page)
    page.get_by_role("button", name="Sign all that is ticked").click()
    sign_in_again(page, "reviewer")
    page.wait_for_url(re.compile("/inbox/"))
    kept(page)
    page.get_by_role("button", name="Open it again").click()
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    expect(page.locator("input[name=item]:checked")).to_have_count(1)
    expect(page.locator("input[name=item]:checked")).to_have_value(left)
    # What changes meanwhile is not ticked.
    one = next(one for one in asked if left.startswith(one["id"]))
    body = {"changes": {"target": "Elsewhere"}, "reason": "It has moved."}
    site.call(
        "POST",
        f"/approvals/{one['id']}/edit",
        {**body, "payload_hash": one["payload_hash"]},
        site.stack.api_key("reviewer2"),
    )
    page.goto("/inbox/")
    for other in asked:
        page.locator(f"input[name=ids][value='{other['id']}']").check()
    page.locator("#bulk-form").get_by_role("button").first.click()
    expect(page.get_by_text("Changed since you read the list: 1.")).to_be_visible()
    expect(page.locator("input[name=item]:checked")).to_have_count(0)


def test_asking_for_money_keeps_every_field_and_asks_once(site: Site) -> None:
    target = place("Once only")
    page = site.sign_in("requester", sockets=False)
    page.goto("/interventions/new/")
    page.get_by_label("Policy").select_option("demo-relief")
    page.get_by_label("Budget").select_option("demo-2026")
    page.get_by_label("Amount").fill("1200.00")
    page.locator("[name=target]").fill(target)
    page.locator("[name=justification]").fill(REASON)
    key = page.locator("[name=idempotency_key]").input_value()
    end_session(site, page)
    page.get_by_role("button", name="Ask", exact=True).click()
    sign_in_again(page, "requester")
    kept(page)
    expect(page.get_by_label("Policy")).to_have_value("demo-relief")
    expect(page.get_by_label("Amount")).to_have_value("1200.00")
    expect(page.locator("[name=justification]")).to_have_value(REASON)
    assert page.locator("[name=idempotency_key]").input_value() == key
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("Asked. This page shows who has to sign")).to_be_visible()
    assert "invoice" not in page.evaluate(STORED)
    page.goto("/interventions/new/")
    expect(page.locator("[name=justification]")).to_have_value("")


def test_a_box_that_is_folded_opens_over_what_was_typed(site: Site) -> None:
    request = site.asked(place("Folded"))
    page = site.sign_in("requester", sockets=False)
    page.goto(f"/interventions/{request['intervention']}/")
    page.locator("#cancel-box summary").click()
    page.locator("#cancel textarea").fill(REASON)
    end_session(site, page)
    page.locator("#cancel").get_by_role("button", name="Call it off").click()
    sign_in_again(page, "requester")
    expect(page.locator("#cancel textarea")).to_be_visible()
    expect(page.locator("#cancel textarea")).to_have_value(REASON)


def test_the_admins_verbs_keep_the_reason_with_the_version_that_was_shown(site: Site) -> None:
    request = site.asked(place("Admin verb"))
    page = site.sign_in("reviewer")
    address = f"/admin/approvals/approvalrequest/?q={request['id']}"
    page.goto(address)
    page.locator("input.action-select").check()
    page.select_option("select[name=action]", "approve")
    page.get_by_role("button", name="Go").click()
    page.get_by_label("Reason").fill(REASON)
    end_session(site, page)
    page.get_by_role("button", name="Approve and sign").click()
    sign_in_again(page, "reviewer")
    kept(page)
    page.get_by_role("button", name="Open it again").click()
    kept(page)
    expect(page.get_by_label("Reason")).to_have_value(REASON)
    page.get_by_role("button", name="Approve and sign").click()
    expect(page.get_by_text("It is approved now.")).to_be_visible()
    assert "invoice" not in page.evaluate(STORED)


def test_passwords_codes_files_and_tokens_are_never_kept(site: Site) -> None:
    request = site.asked(place("Secrets"))
    page = site.sign_in("reviewer", sockets=False)
    page.goto(f"/requests/{request['id']}/")
    page.locator("#evidence summary").click()
    page.locator("#evidence-file").set_input_files(
        {"name": "secret.txt", "mimeType": "text/plain", "buffer": b"in the file"}
    )
    page.locator("#evidence-note").fill("What it shows")
    page.wait_for_function("() => (localStorage.getItem('drafts') ?? '').includes('it shows')")
    draft = json.loads(page.evaluate(STORED))[f"evidence:{request['id']}"]
    assert set(draft["values"]) == {"note"}
    assert not draft["version"] and not draft["once"]
    page.goto("/account/password/")
    page.locator("input[type=password]").first.fill("hunter2")
    page.goto("/")
    assert "hunter2" not in page.evaluate(STORED)
