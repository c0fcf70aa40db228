"""Executions in a browser: run by keyboard, watched while nodes end, cancelled, run again."""

import json
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.automations.drawing import delay, failing, graph, node, transform
from tests.e2e.conftest import PHONE, Site, be_live, stay

pytestmark = pytest.mark.e2e
ASKS = graph(
    "order>sign sign>release:approved sign>refuse:rejected",
    order=transform(id="params.order"),
    sign=node("approval", title="Release {{ params.order }}", group="reviewer"),
)


def a_code() -> str:
    return f"e2e-{uuid4().hex[:8]}"


def test_nodes_change_their_colours_while_the_page_is_open(site: Site) -> None:
    code, order = a_code(), f"Order {uuid4().hex[:8]}"
    site.automate(code, ASKS)
    page = site.sign_in("editor")
    execution = site.run(page, code, {"order": order})
    be_live(page)
    drawing = page.locator(".drawing-across")
    expect(drawing.locator(".is-waiting .node-id")).to_have_text("sign")
    expect(drawing.locator(".is-pending")).to_have_count(2)
    stayed = stay(page)
    request = site.stack.sql(
        "SELECT request_id FROM automations_node WHERE execution_id = %s AND index = 1", execution
    )[0][0]
    key = site.stack.api_key("reviewer")
    asked = site.call("GET", f"/approvals/{request}", None, key)[1]
    decision = {
        "verdict": "approve",
        "reason": "As the contract says.",
        "payload_hash": asked["payload_hash"],
    }
    assert site.call("POST", f"/approvals/{request}/decide", decision, key)[0] == 200
    expect(drawing.locator(".is-completed")).to_have_count(3)
    expect(drawing.locator(".is-skipped .node-id")).to_have_text("refuse")
    expect(drawing.locator(".is-skipped .node-what")).to_have_text("skipped")
    expect(page.get_by_role("heading", name="4 of 4 nodes have ended")).to_be_visible()
    expect(page.locator("#execution-head .badge")).to_have_text("completed")
    assert stayed()


def test_a_run_is_watched_cancelled_and_repeated_by_keyboard_alone(site: Site) -> None:
    code = a_code()
    site.automate(code, graph("first>wait", first=transform(n="params.n"), wait=delay(3600)))
    page = site.sign_in("editor", width=PHONE)
    page.goto(f"/automations/of/{code}/")
    field = page.get_by_label("What it is given")
    field.fill('{"n": }')
    page.get_by_role("button", name="Run it").press("Enter")
    expect(page.locator(".errorlist")).to_contain_text("Line 1")
    field.fill('{"n": 3}')
    page.get_by_role("button", name="Run it").press("Enter")
    expect(page.locator(".drawing-across")).to_be_hidden()
    waits = page.locator(".drawing-down .is-waiting")
    expect(waits.locator(".node-id")).to_have_text("wait")
    waits.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="wait", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Run again from here")).to_have_count(0)
    read = page.locator("#execution_node-input pre")
    assert json.loads(read.inner_text())["inputs"] == {"n": 3}
    page.locator(".crumbs a").last.press("Enter")
    box = page.locator("#cancel-box")
    box.locator("summary").press("Enter")
    box.locator("textarea").fill("The wrong number.")
    box.get_by_role("button", name="Cancel the execution").press("Enter")
    expect(page.locator("#execution-head")).to_contain_text("The wrong number.")
    page.get_by_role("link", name="wait", exact=True).first.press("Enter")
    page.get_by_role("button", name="Run again from here").press("Enter")
    expect(page.get_by_text("Asked for. This page shows how far it is.")).to_be_visible()
    expect(waits.locator(".node-id")).to_have_text("wait")


def test_a_failure_is_resumed_and_what_was_scrolled_stays(site: Site) -> None:
    code = a_code()
    chain = " ".join(f"n{n}>n{n + 1}" for n in range(14))
    site.automate(code, graph(f"{chain} n14>f", f=failing()))
    page = site.sign_in("editor")
    execution = site.run(page, code, {})
    site.execution_is(execution, "failed")
    be_live(page)
    drawing = page.locator(".drawing-across")
    expect(drawing.locator(".is-failed .node-id")).to_have_text("f")
    drawing.evaluate("element => { element.scrollLeft = 500 }")
    expect(page.locator("#execution-head")).to_contain_text("An expression failed.")
    page.locator("#resume-box > summary").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("It goes on with what had failed.")).to_be_visible()
    be_live(page)
    drawing.evaluate("element => { element.scrollLeft = 500 }")
    # Its second failure is told of while one looks: the drawing stays where it was moved to.
    expect(page.locator("#execution-history")).to_contain_text("Resumed")
    expect(drawing.locator(".is-failed .node-id")).to_have_text("f")
    assert drawing.evaluate("element => element.scrollLeft") == 500
