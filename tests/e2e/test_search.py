"""The search by keyboard alone, with scripts; and without them."""

import re
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site

pytestmark = pytest.mark.e2e


def test_a_row_is_found_and_opened_by_keyboard_alone(site: Site) -> None:
    word = f"Well{uuid4().hex[:6]}"
    first = site.ask(f"{word} pumps")
    site.ask(f"{word} pipes")
    page = site.sign_in("reviewer")
    page.goto("/notifications/")
    keys = page.keyboard
    box = page.locator("input[name=q]:focus")
    keys.press("/")
    expect(box).to_have_count(1)
    keys.type(word)
    keys.press("Enter")
    page.wait_for_url(re.compile(f"/search/.q={word}"))
    titles = page.locator("section:has(#found-interventions) .row-title")
    expect(titles).to_have_count(2)
    keys.press("Control+k")
    expect(box).to_have_count(1)
    keys.press("ArrowDown")
    expect(page.locator(".row-title:focus")).to_have_count(1)
    keys.press("ArrowUp")
    expect(page.locator("#search-text")).to_be_focused()
    # Keys are letters while somebody types; they replace the text that the search chose.
    keys.type("j/?")
    expect(page.locator("#search-text")).to_have_value("j/?")
    keys.press("Tab")
    keys.press("j")
    keys.press("j")
    expect(titles.nth(1)).to_be_focused()
    # The newest is first.
    expect(titles.nth(1)).to_have_attribute("href", f"/interventions/{first['id']}/")
    keys.press("Enter")
    page.wait_for_url(f"**/interventions/{first['id']}/")


def test_it_works_without_scripts(site: Site) -> None:
    made = site.ask(f"Well{uuid4().hex[:6]} covers")
    page = site.sign_in("reviewer", scripts=False)
    page.goto("/search/")
    page.fill("#search-text", made["id"])
    page.click(".search-form button")
    link = page.locator(f".row-title[href='/interventions/{made['id']}/']")
    expect(link).to_be_visible()
    expect(page.get_by_text(made["workflow_id"]).first).to_be_visible()
    link.click()
    page.wait_for_url(f"**/interventions/{made['id']}/")
