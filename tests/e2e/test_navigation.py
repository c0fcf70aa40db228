"""The navigation in a real browser: drawer, bottom bar and rail, by keyboard, by touch, and without
scripts."""

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import PHONE, Site
from tests.e2e.test_looks import ADMIN_FORGIVEN, EVERY_LOOK, picture, problems

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e

#: From here on the navigation stands beside the page: 64rem.
WIDE = 1024
TOUCHED = ".top :is(a, button, summary), .bottom-bar :is(a, summary)"


def fits(page: "Page") -> bool:
    return bool(page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"))


def too_small(page: "Page", selector: str) -> Any:
    """What of it a finger misses: less than 44 px high or wide."""
    return page.evaluate(
        """selector => [...document.querySelectorAll(selector)]
            .filter((one) => one.checkVisibility({ contentVisibilityAuto: true }))
            .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
            .filter(([, box]) => box.width < 44 || box.height < 44)
            .map(([text, box]) => `${text}: ${box.width} x ${box.height}`)""",
        selector,
    )


def menu(page: "Page") -> "Locator":
    return page.locator("#drawer > summary")


def test_the_drawer_works_by_keyboard_and_closes_by_escape_and_by_a_click_beside_it(
    site: Site,
) -> None:
    page = site.sign_in("reviewer", width=360)
    page.goto("/budgets/transfers/")
    keys = page.keyboard
    # The bar is reached before the page.
    expect(page.locator(".side-nav")).to_be_hidden()
    page.locator(".bottom-bar > a").last.focus()
    keys.press("Tab")
    expect(menu(page)).to_be_focused()
    keys.press("Enter")
    links = page.locator("#drawer a")
    keys.press("Tab")
    expect(links.first).to_be_focused()
    expect(page.locator("#drawer a[aria-current=page]")).to_have_text("Transfers")
    assert fits(page)
    assert too_small(page, TOUCHED) == []
    assert problems(page) == []
    picture(page, "drawer-360", whole=False)
    keys.press("Escape")
    expect(links.first).to_be_hidden()
    expect(menu(page)).to_be_focused()
    menu(page).click()
    expect(links.first).to_be_visible()
    page.mouse.click(20, 300)
    expect(links.first).to_be_hidden()
    # Whoever goes on with the keyboard leaves it behind.
    menu(page).press("Enter")
    links.last.focus()
    keys.press("Tab")
    expect(links.first).to_be_hidden()
    menu(page).click()
    links.get_by_text("Outcomes").click()
    expect(page.get_by_role("heading", name="Outcomes", level=1)).to_be_visible()
    expect(links.first).to_be_hidden()


@pytest.mark.parametrize("path", ["/inbox/", "/admin/engine/enginecommand/"])
def test_drawer_and_bar_work_without_scripts(path: str, site: Site) -> None:
    page = site.sign_in("admin", width=PHONE, scripts=False)
    page.goto(path)
    links = page.locator("#drawer a")
    expect(links.first).to_be_hidden()
    menu(page).click()
    expect(links.first).to_be_visible()
    links.get_by_text("Delegations").click()
    page.wait_for_url("**/delegations/")
    page.locator(".bottom-bar > a").get_by_text("Inbox").click()
    page.wait_for_url("**/inbox/")


def test_nothing_is_hidden_behind_the_bottom_bar(site: Site) -> None:
    page = site.sign_in("admin", width=360)
    for path, last in (("/budgets/", ".foot"), ("/admin/", "#footer")):
        page.goto(path)
        page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
        end = page.evaluate(
            "last => document.querySelector(last).getBoundingClientRect().bottom", last
        )
        assert end <= page.locator(".bottom-bar").bounding_box()["y"] + 1, path  # type: ignore[index]
        assert fits(page), path
        assert too_small(page, TOUCHED) == [], path


def test_the_rail_is_remembered_on_the_site_and_in_the_admin(site: Site) -> None:
    page = site.sign_in("admin", width=WIDE)
    page.goto("/budgets/")
    side = page.locator(".side-nav")
    expect(page.locator(".bottom-bar")).to_be_hidden()

    def width() -> float:
        return float(side.bounding_box()["width"])  # type: ignore[index]

    assert width() == 224
    button = page.get_by_role("button", name="Collapse navigation")
    button.press("Enter")
    expect(page.get_by_role("button", name="Expand navigation")).to_be_focused()
    assert width() == 56
    # The page is the same one, and the next is drawn so from the start.
    assert page.url.endswith("/budgets/")
    for path in ("/budgets/transfers/", "/admin/", "/admin/engine/enginecommand/"):
        page.goto(path)
        assert width() == 56, path
        assert fits(page), path
    here = side.locator("[aria-current]")
    expect(here).to_have_attribute("title", "Admin")
    # By keyboard the names are seen.
    word = here.locator(".nav-word")
    assert word.bounding_box()["width"] == 1  # type: ignore[index]
    side.locator("a").first.focus()
    page.keyboard.press("Tab")
    assert word.bounding_box()["width"] > 20  # type: ignore[index]
    picture(page, "rail-keyboard", whole=False)
    page.goto("/budgets/")
    picture(page, "rail", whole=False)
    assert problems(page) == []
    page.get_by_role("button", name="Expand navigation").click()
    assert width() == 224
    page.reload()
    assert width() == 224


def test_the_rail_works_without_scripts(site: Site) -> None:
    page = site.sign_in("reviewer", width=WIDE, scripts=False)
    page.goto("/inbox/?mine=on")
    page.get_by_role("button", name="Collapse navigation").click()
    page.get_by_role("button", name="Expand navigation").wait_for()
    assert page.url.endswith("/inbox/?mine=on")
    assert page.locator(".side-nav").bounding_box()["width"] == 56  # type: ignore[index]


def test_beside_the_navigation_nothing_is_wider_than_the_window(site: Site) -> None:
    page = site.sign_in("admin", width=WIDE)
    found = {}
    for path in (
        *("/", "/inbox/", "/interventions/", "/budgets/", "/audit/"),
        *("/admin/", "/admin/approvals/approvalrequest/", "/admin/audit/auditentry/"),
        *("/admin/accounts/user/1/change/", "/admin/approvals/approvalrule/put/"),
    ):
        page.goto(path)
        picture(page, f"beside{path.replace('/', '-')}{WIDE}")
        # Their rounds look for all else.
        wrong = problems(page) if EVERY_LOOK else []
        if path.startswith("/admin/"):
            wrong = [one for one in wrong if one.partition(" ")[0] not in ADMIN_FORGIVEN]
        if not fits(page):
            wrong.append("the page is wider than the window")
        if wrong:
            found[path] = wrong
    assert found == {}
