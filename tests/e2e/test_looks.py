"""Every page, both themes, wide and narrow: axe finds nothing, nothing overflows, nothing is
blocked. The screenshots are kept for somebody to look at."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python
import pytest

from tests.e2e.conftest import DESKTOP, PHONE, Site, be_live

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

SCREENSHOTS = Path(tempfile.gettempdir()) / "countersign-screenshots"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
    # It would put style elements into the page, which the content security policy forbids.
    "preload": False,
    # Off unless asked for: links, buttons and fields of at least 24 by 24 px.
    "rules": {"target-size": {"enabled": True}},
}
#: In Django's own templates, none of them serious: headings that skip a level, landmarks.
ADMIN_FORGIVEN = {"heading-order", "region", "landmark-unique", "empty-table-header"}


@pytest.fixture(scope="module")
def places(shared_site: Site) -> dict[str, dict[str, str]]:
    """Addresses by who opens them, with something to see on each."""
    site = shared_site
    waiting = site.asked("Makoko Health Post", "620000.00")
    done = site.ask("Mrs. Funke Alade", "4500.00")
    site.ends_as(done["id"], "executed")
    failing = site.asked("Cooperativa Boa Vista", "48000.00")
    key = site.stack.api_key("reviewer")
    decision = {"verdict": "reject", "reason": "The invoice names another person."}
    decision["payload_hash"] = failing["payload_hash"]
    site.call("POST", f"/approvals/{failing['id']}/decide", decision, key)
    site.ends_as(failing["intervention"], "rejected")
    return {
        "reviewer": {
            "home": "/",
            "inbox": "/inbox/",
            "inbox-empty": "/inbox/?least=999999999",
            "request-open": f"/requests/{waiting['id']}/",
            "request-settled": f"/requests/{failing['id']}/",
            "interventions": "/interventions/",
            "intervention-executed": f"/interventions/{done['id']}/",
            "budgets": "/budgets/",
            "budget": "/budgets/demo-2026/",
            "not-found": "/nowhere/",
            "not-allowed": "/interventions/new/",
        },
        "requester": {
            "home-requester": "/",
            "intervention-new": "/interventions/new/",
            "intervention-waiting": f"/interventions/{waiting['intervention']}/",
            "notifications": "/notifications/",
        },
        "": {"login": "/login/"},
        "admin": {
            "admin": "/admin/",
            "admin-requests": "/admin/approvals/approvalrequest/",
            "admin-request": f"/admin/approvals/approvalrequest/{waiting['id']}/change/",
            "admin-rules": "/admin/approvals/approvalrule/",
            "admin-rule-new": "/admin/approvals/approvalrule/put/",
            "admin-interventions": "/admin/interventions/intervention/",
            "admin-audit": "/admin/audit/auditentry/",
            "admin-commands": "/admin/engine/enginecommand/",
            "admin-user": "/admin/accounts/user/1/change/",
        },
    }


def problems(page: "Page") -> list[str]:
    """What axe finds, by rule, with the first places."""
    # By the debugger's door: the content security policy lets no script in, nor should it.
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{one['id']} ({one['impact']}): " + "; ".join(n["html"][:160] for n in one["nodes"][:3])
        for one in found["violations"]
    ]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("person", ["reviewer", "requester", "admin", ""])
def test_every_page_is_accessible_fits_and_is_not_blocked(
    person: str, theme: str, width: int, site: Site, places: dict[str, dict[str, str]]
) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    found: dict[str, list[str]] = {}
    page = site.sign_in(person, theme=theme, width=width)
    for name, address in places[person].items():
        page.goto(address)
        if page.locator("[data-live-indicator]").count():
            be_live(page)
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{theme}.png", full_page=True)
        wrong = problems(page)
        if name.startswith("admin"):
            wrong = [one for one in wrong if one.partition(" ")[0] not in ADMIN_FORGIVEN]
        if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
            wrong.append("the page is wider than the window")
        if wrong:
            found[name] = wrong
    assert found == {}


def test_the_confirmation_and_the_menus_are_accessible_too(
    site: Site, places: dict[str, dict[str, str]]
) -> None:
    page = site.sign_in("reviewer", theme="dark", width=PHONE)
    page.goto("/")
    page.locator("#me summary").click()
    page.screenshot(path=SCREENSHOTS / "menu.png")
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.locator("[data-keys-open]").click()
    page.screenshot(path=SCREENSHOTS / "keys.png")
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.goto("/admin/approvals/approvalrequest/?status__exact=open")
    page.locator("input.action-select").first.check()
    page.select_option("select[name=action]", "approve")
    page.get_by_role("button", name="Go").click()
    page.get_by_role("button", name="Approve and sign").wait_for()
    page.screenshot(path=SCREENSHOTS / "confirm.png", full_page=True)
    wrong = [one for one in problems(page) if one.partition(" ")[0] not in ADMIN_FORGIVEN]
    assert wrong == []


def test_at_360_pixels_nothing_is_cut_off(site: Site, places: dict[str, dict[str, str]]) -> None:
    page = site.sign_in("reviewer", width=360)
    for name, address in places["reviewer"].items():
        page.goto(address)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), name
