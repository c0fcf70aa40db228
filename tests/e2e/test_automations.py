"""Automations in a browser: written, mended at the line that is wrong, drawn, and switched off."""

import json
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.automations.drawing import condition, graph
from tests.e2e.conftest import PHONE, Site, be_live

pytestmark = pytest.mark.e2e
WRONG = graph("a>b b>c:true b>d:yes", b=condition("inputs.n > 1"))
RIGHT = graph("a>b b>c:true b>d:false", b=condition("inputs.n > 1"))


def test_a_definition_is_mended_at_its_line_by_keyboard_and_written(site: Site) -> None:
    code = f"e2e-{uuid4().hex[:8]}"
    page = site.sign_in("editor")
    page.goto("/automations/")
    page.get_by_role("link", name="Write an automation").click()
    page.get_by_label("Code").fill(code)
    page.get_by_label("Title").fill("Drawn in a browser")
    text = page.get_by_label("Definition")
    text.fill(json.dumps(WRONG, indent=2))
    page.get_by_role("button", name="Check").press("Enter")
    expect(page.get_by_role("heading", name="1 issue")).to_be_visible()
    expect(page.get_by_text("b never takes an edge with the label yes.")).to_be_visible()
    page.get_by_role("link", name="line").press("Enter")
    # The line is chosen: what is typed replaces it.
    assert page.evaluate("getSelection().toString()").strip() == '"label": "yes"'
    expect(page.locator(".code-lines .is-wrong")).to_have_count(1)
    page.keyboard.type('"label": "false"')
    page.get_by_role("button", name="Check").press("Enter")
    expect(page.get_by_role("heading", name="No issues")).to_be_visible()
    page.get_by_role("button", name="Write this version").press("Enter")
    expect(page.get_by_text("Version 1 is written.")).to_be_visible()
    expect(page.locator(".drawing-across .node")).to_have_count(4)
    expect(page.locator(".drawing-down")).to_be_hidden()
    assert json.loads(page.locator(".definition").inner_text()) == RIGHT


def test_a_draft_says_so_and_the_page_is_live(site: Site) -> None:
    code, key = f"e2e-{uuid4().hex[:8]}", site.stack.api_key("editor")
    body = {"code": code, "title": "Changed by a program", "definition": RIGHT}
    assert site.call("POST", "/automations", body, key)[0] == 201
    page = site.sign_in("editor", width=PHONE)
    page.goto(f"/automations/of/{code}/")
    be_live(page)
    expect(page.locator(".drawing-down .node")).to_have_count(4)
    expect(page.locator(".drawing-across")).to_be_hidden()
    draft = {"definition": WRONG, "version": 1}
    assert site.call("POST", f"/automations/{code}/versions", draft, key)[0] == 201
    expect(page.get_by_text("It has 1 issue and cannot run.")).to_be_visible()
    expect(page.get_by_text("Version 1 is executed until then.")).to_be_visible()
    expect(page.locator(".drawing-down .is-wrong")).to_have_count(0)
    page.locator("#switch-off-box > summary").click()
    page.locator("form[action$='/switch-off/'] textarea").fill("Prices are wrong.")
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("switched off").first).to_be_visible()
