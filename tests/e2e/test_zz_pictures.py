from pathlib import Path

import pytest

from tests.e2e.conftest import Site, be_live
from tests.e2e.test_looks import _batch, _transfer, problems

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
OUT = Path("/tmp/pics_e")
OUT.mkdir(exist_ok=True)


def test_pictures(site: Site) -> None:
    req = site.asked("Makoko Health Post", "620000.00")
    transfer = _transfer(site)
    _, signed = _batch(site)
    _, t = site.call("GET", f"/budgets/transfers/{transfer}")
    found = {}

    def shot(page, name, whole=False, axe=True):
        page.screenshot(path=str(OUT / f"{name}.png"), full_page=whole)
        wrong = problems(page) if axe else []
        if wrong:
            found[name] = wrong
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[name + "-wide"] = ["wide"]

    at = f"/requests/{req['id']}/"
    page = site.sign_in("reviewer")
    page.set_default_timeout(60000)

    def go(address, w, h, theme="light"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": w, "height": h})
        page.goto(address)
        be_live(page)

    go(at, 390, 844, "dark")
    shot(page, "open-390-dark")
    page.locator("#decide-more summary").click()
    shot(page, "more-390", axe=False)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Reject", exact=True).click()
    shot(page, "form-390", axe=False)
    go(at, 1280, 900, "dark")
    page.locator("#seal summary").click()
    if page.locator("#timeline-engine").count():
        page.get_by_label("Show the engine").check()
    shot(page, "seal-1280-dark-whole", True)
    go(f"/requests/{signed}/", 390, 844)
    shot(page, "batch-390-whole", True)
    if t.get("approval"):
        go(f"/requests/{t['approval']}/", 1280, 900)
        shot(page, "transfer-1280", axe=False)
    go(at + "?verdict=reject", 1280, 900)
    shot(page, "rejecting-1280", axe=False)
    go(f"/requests/{signed}/", 1280, 900)
    shot(page, "batch-1280", axe=False)
    req2 = site.sign_in("requester", width=390)
    req2.set_default_timeout(60000)
    req2.goto(at)
    be_live(req2)
    shot(req2, "barred-390", axe=False)
    req2.goto(f"/interventions/{req['intervention']}/")
    be_live(req2)
    shot(req2, "intervention-390-whole", True)
    print(t)
    assert found == {}
