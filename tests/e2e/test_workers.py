"""An operator at the Workers page: from the keyboard, without the pointer."""

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import DESKTOP, PHONE, Site, be_live, stay
from tests.e2e.test_looks import _wrong, in_theme, picture, shots
from tests.support import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e


def _reach(page: "Page", name: str) -> None:
    """Press Tab until the control of that name has the focus."""

    def there() -> bool:
        page.keyboard.press("Tab")
        return bool(
            page.evaluate("name => document.activeElement.textContent.trim() === name", name)
        )

    eventually(there, every=0)


def test_a_run_is_cancelled_by_keyboard_and_the_page_shows_it_end(site: Site) -> None:
    asked = site.asked("Kept waiting by an operator", "620000.00")
    page = site.sign_in("admin")
    page.goto("/workers/")
    be_live(page)
    page.locator("#workers-runs a").first.wait_for()
    page.goto(f"/workers/runs/?state=running&workflow=intervention-{asked['intervention']}")
    page.locator("#run-rows .row-title").first.focus()
    page.keyboard.press("Enter")
    page.locator("#workflow_run-acts").wait_for()
    be_live(page)
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 900})
        for theme in shots(width):
            in_theme(page, theme)
            picture(page, f"workflow-run-{width}-{theme}")
            assert _wrong(page, "workflow-run") == []
    stayed = stay(page)
    page.locator("body").focus()
    _reach(page, "Cancel")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("Asked for by mistake.")
    _reach(page, "Ask it to cancel")
    assert stayed()
    page.keyboard.press("Enter")
    page.get_by_text("Asked to cancel.").wait_for()
    # Sent by the relay, taken by the workflow, told by the mirror: the open page follows.
    running = page.locator("#workflow_run-head .badge", has_text="running")
    running.wait_for(state="detached", timeout=60_000)
    assert page.get_by_text("Ask it to cancel").count() == 0
    picture(page, "workflow-run-cancelled")
