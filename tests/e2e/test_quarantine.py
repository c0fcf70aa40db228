"""The quarantine in a browser: an event is edited, signed by somebody else, tried, replayed and
kept under its id."""

import json
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, be_live
from tests.e2e.test_deciding import sign
from tests.payments.samples import an_event
from tests.support import eventually, patient

pytestmark = pytest.mark.e2e


def quarantined(site: Site, **changes: Any) -> tuple[str, str]:
    """Send an event that fails; return its id, and that of its row in the quarantine."""
    event_id = f"e2e:{uuid4()}"
    event = an_event(event_id, provider_event_id=event_id, **changes)
    status, answer = site.call("POST", "/payment-events", event, site.stack.api_key("corrector"))
    assert status == 202, answer
    address = f"/quarantine?event_id={event_id}"

    def look() -> str:
        rows = site.call("GET", address, None, site.stack.api_key("corrector"))[1]["items"]
        return rows[0]["id"] if rows else ""

    return event_id, eventually(look, 30)


def test_edited_signed_by_another_tried_and_replayed(site: Site) -> None:
    event_id, row = quarantined(site, amount_cents=0, metadata={"big": 12345678901234567890})
    editor = site.sign_in("corrector")
    editor.goto(f"/quarantine/events/{row}/")
    expect(editor.get_by_text("12345678901234567890")).to_be_visible()
    editor.get_by_role("link", name="Edit", exact=True).click()
    text = editor.get_by_label("The event")
    text.fill(text.input_value().replace('"amount_cents": 0', '"amount_cents": 4200'))
    editor.get_by_label("Why").fill("The provider has confirmed 42.00.")
    editor.get_by_role("button", name="Compare and try").click()
    expect(editor.get_by_text("would be kept")).to_be_visible()
    expect(editor.locator(".is-added")).to_contain_text("4200")
    editor.get_by_role("button", name="Ask for the signature").click()
    expect(editor.get_by_role("heading", name="Version 1")).to_be_visible()
    link = editor.get_by_role("link", name="Its request").get_attribute("href")
    assert link
    # Who wrote it cannot sign it.
    editor.goto(link)
    expect(editor.get_by_role("button", name="Approve", exact=True)).to_have_count(0)
    releaser = site.sign_in("releaser")
    releaser.goto(link)
    be_live(releaser)
    sign(releaser, "Approve", "Compared with the provider.")
    expect(
        releaser.get_by_text("It is approved now.").or_(releaser.get_by_text("Approved.")).first
    ).to_be_visible()
    releaser.goto(f"/quarantine/events/{row}/")
    releaser.get_by_role("link", name="Try it").click()
    expect(releaser.get_by_text("would be kept")).to_be_visible()
    releaser.locator("#replay-box > summary").click()
    releaser.get_by_role("button", name="Replay the event").click()
    expect(releaser.locator("#quarantined_event-head .badge")).to_have_text(
        "replayed", timeout=patient(30) * 1000
    )
    key = site.stack.api_key("releaser")
    status, kept = site.call("GET", f"/payment-events/{event_id}", None, key)
    assert (status, kept["amount_cents"], kept["event_id"]) == (200, 4200, event_id)
    assert json.dumps(kept["fraud_score"])


def test_what_a_filter_matches_is_replayed_with_its_progress(site: Site) -> None:
    word = f"customer-{uuid4().hex[:12]}"
    for _ in range(3):
        quarantined(site, amount_cents=0, customer_id=word)
    page = site.sign_in("releaser")
    page.goto("/quarantine/events/?state=open")
    page.get_by_label("Search", exact=True).fill(word)
    page.get_by_label("Search", exact=True).press("Enter")
    expect(page.locator("#quarantined-event-rows > tr")).to_have_count(3)
    page.get_by_role("link", name="Replay these").click()
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="0 of 3 events would be kept")).to_be_visible()
    page.get_by_role("button", name="Begin").click()
    be_live(page)
    expect(page.get_by_role("heading", name="3 of 3 have ended")).to_be_visible(
        timeout=patient(60) * 1000
    )
    expect(page.locator("#replay-items .badge").first).to_be_visible()


def test_a_filter_is_kept_and_what_it_finds_goes_elsewhere(site: Site) -> None:
    word = f"customer-{uuid4().hex[:12]}"
    event_id, row = quarantined(site, amount_cents=0, customer_id=word)
    page = site.sign_in("corrector")
    page.goto(f"/quarantine/events/?q={word}&state=open")
    page.get_by_text("Save this filter").click()
    page.get_by_label("Name").fill(f"Of {word}")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/quarantine/events/")
    page.get_by_role("link", name=f"Of {word}").click()
    page.get_by_role("link", name=event_id).click()
    page.locator("#retarget-box > summary").click()
    page.get_by_label("Topic").select_option("elsewhere")
    page.locator("#retarget-reason").fill("The old service deals with it.")
    page.get_by_role("button", name="Send the event").click()
    expect(page.locator("#quarantined_event-head .badge")).to_have_text("sent elsewhere")

    def place() -> str:
        page.goto(f"/quarantine/events/{row}/")
        return (
            page.get_by_text("Sent to").first.inner_text()
            if page.get_by_text("Sent to").count()
            else ""
        )

    eventually(place, 30)
    assert not site.complaints


def test_corrected_events_come_back_as_a_file(site: Site) -> None:
    word = f"customer-{uuid4().hex[:12]}"
    event_id, row = quarantined(site, amount_cents=0, customer_id=word)
    page = site.sign_in("corrector")
    page.goto(f"/quarantine/events/?q={word}")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSONL").click()
    line = json.loads(download.value.path().read_text())
    assert (line["id"], line["event"]["event_id"]) == (row, event_id)
    line["event"]["amount_cents"] = 4200
    page.get_by_role("link", name="Import").click()
    corrected = {"name": "corrected.jsonl", "mimeType": "application/x-ndjson"}
    page.get_by_label("File").set_input_files(
        [{**corrected, "buffer": json.dumps(line).encode()}]  # type: ignore[list-item]
    )
    page.get_by_label("Why").fill("The provider has confirmed 42.00.")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("heading", name="1 asked for its signature")).to_be_visible()
    page.get_by_role("link", name=f"Line 1 · {event_id}").click()
    expect(page.get_by_text("Version 1")).to_be_visible()
    assert not site.complaints
