"""A claim from the form to its end, as the people of both sides see it."""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import DESKTOP, PHONE, Site, be_live, stay
from tests.support import eventually, patient

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

#: Two keys of the demo, at the other participant: type, key; the owner's type, tax id and name.
CLAIMED = {
    "completed": ("PHONE", "+5521998765432", "NATURAL_PERSON", "15350946056", "Bruno Lima"),
    "cancelled": (
        *("EMAIL", "contato@ipe-livros.example.com"),
        *("LEGAL_PERSON", "12ABC34501DE35", "Ipê Livros Ltda."),
    ),
}


def opened(site: Site, end: str) -> "Page":
    """The page of a claim that the requester has opened by the form."""
    kind, key, owner, tax_id, name = CLAIMED[end]
    at = "SELECT count(*) FROM pix_entry WHERE key = %s AND status = 'active'"
    eventually(lambda: site.stack.sql(at, key) == [(1,)], 30)
    page = site.sign_in("requester")
    page.goto("/pix/claims/new/")
    page.get_by_label("Type", exact=True).select_option("PORTABILITY")
    page.get_by_label("Type of key").select_option(kind)
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_label("Participant").select_option("12345678")
    page.get_by_label("Account number").fill("0007654321")
    page.get_by_label("The owner is").select_option(owner)
    page.get_by_label("CPF or CNPJ of the owner").fill(tax_id)
    page.get_by_label("Name of the owner").fill(name)
    page.get_by_role("button", name="Open the claim").click()
    page.wait_for_url(re.compile("/pix/claims/[0-9a-f-]{36}/"))
    assert key not in page.url and key not in page.content()
    be_live(page)
    expect(page.locator("#claim-now")).to_contain_text(
        "the donor: a signature in the inbox", timeout=patient(20) * 1000
    )
    expect(page.locator("#claim-now")).to_contain_text("The claim expires.")
    return page


def decide(site: Site, claim: "Page", letter: str, said: str) -> None:
    """The officer decides from the inbox with the keyboard alone."""
    number = claim.get_by_role("heading", level=1).inner_text()
    page = site.sign_in("officer")
    page.goto("/pix/claims/board/")
    expect(page.locator("#board-waiting")).to_contain_text(number)
    page.get_by_role("link", name="Decide several together in the inbox").click()
    expect(page.get_by_label("Kind")).to_have_value("pix.claim")
    be_live(page)
    keys = page.keyboard
    keys.press("j")
    expect(page.locator("#inbox-rows .row-title").first).to_be_focused()
    keys.press("Enter")
    page.wait_for_url(re.compile("/requests/"))
    expect(page.locator("main")).to_contain_text(number)
    be_live(page)
    keys.press(letter)
    reason = page.get_by_label("Reason", exact=True)
    reason.focus()
    keys.type("As the owner says.")
    page.get_by_role("button", name="Sign the decision").focus()
    keys.press("Enter")
    expect(page.get_by_text(said).first).to_be_visible()


def test_a_claim_is_opened_confirmed_and_completed_before_ones_eyes(site: Site) -> None:
    claim = opened(site, "completed")
    stayed = stay(claim)
    decide(site, claim, "a", "Approved.")
    expect(claim.locator("#claim-head .badge")).to_have_text(
        "completed", timeout=patient(30) * 1000
    )
    assert stayed()
    key = CLAIMED["completed"][1]
    at = "SELECT participant FROM pix_entry WHERE key = %s AND status = 'active'"
    assert site.stack.sql(at, key) == [("12345678",)]


def test_a_claim_that_the_donor_refuses_is_cancelled_before_ones_eyes(site: Site) -> None:
    claim = opened(site, "cancelled")
    stayed = stay(claim)
    decide(site, claim, "r", "Rejected.")
    expect(claim.locator("#claim-head .badge")).to_have_text(
        "cancelled", timeout=patient(30) * 1000
    )
    assert stayed()
    key = CLAIMED["cancelled"][1]
    at = "SELECT participant FROM pix_entry WHERE key = %s AND status = 'active'"
    assert site.stack.sql(at, key) == [("87654321",)]


def test_the_board_stands_in_columns_and_on_a_phone_one_below_the_other(site: Site) -> None:
    for width, beside in ((DESKTOP, 4), (PHONE, 1)):
        page = site.sign_in("officer", width=width)
        page.goto("/pix/claims/board/")
        columns = page.locator(".board > section")
        expect(columns).to_have_count(4)
        tops = {round((column.bounding_box() or {"y": 0})["y"]) for column in columns.all()}
        assert len(tops) == 4 // beside
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, width
