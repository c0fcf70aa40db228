"""A claim from the form to its end, as the people of both sides see it."""

import re
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from apps.pix.bridge import directory_pb2 as pb
from tests.directory import AGREES, OURS, SimulatedDirectory
from tests.e2e.conftest import DESKTOP, PHONE, Site, be_live, stay, tab_to
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
    row = claim.url.rstrip("/").rpartition("/")[2]
    ((number,),) = site.stack.sql("SELECT claim_id FROM pix_claim WHERE id = %s", row)
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


def held(directory: SimulatedDirectory, key: str, participant: str) -> None:
    """The phone is a stranger's key."""
    account = pb.Account(participant=participant, branch="0001", number="7", type="CACC")
    owner = pb.Owner(type="NATURAL_PERSON", tax_id="11122233396", name="Maria Aparecida Souza")
    entry = pb.Entry(key_type="PHONE", key=key, account=account, owner=owner)
    directory.load([pb.CidEntry(request_id=str(uuid4()), entry=entry)])


def test_the_new_owner_of_a_strangers_key_completes_by_keyboard_alone(
    site: Site, directory: SimulatedDirectory
) -> None:
    key = "+5511977770001"
    held(directory, key, AGREES)
    body = {
        "claim_type": "OWNERSHIP",
        "key_type": "PHONE",
        "key": key,
        "claimer_account": {"participant": OURS, "branch": "0001", "number": "1", "type": "CACC"},
        "claimer": {"type": "NATURAL_PERSON", "tax_id": "52998224725", "name": "Ana Souza"},
        "rulebook": "dict",
    }
    status, answer = site.call("POST", "/pix/claims", body)
    assert status == 201, answer
    page = site.sign_in("officer")
    page.goto("/pix/claims/board/?side=CLAIMER")
    be_live(page)
    # The stranger confirms, and the card comes into the column by itself.
    card = page.locator("#board-confirmed .row", has_text=answer["claim_id"])
    expect(card).to_be_visible(timeout=patient(40) * 1000)
    keys = page.keyboard
    tab_to(page, card.locator("a.row-title"))
    keys.press("Enter")
    page.wait_for_url(f"**/pix/claims/{answer['id']}/")
    expect(page.locator("#claim-now")).to_contain_text("the claimer, here: to complete it")
    be_live(page)
    tab_to(page, page.locator("#complete-box summary"))
    keys.press("Enter")
    tab_to(page, page.get_by_role("button", name="Complete the claim"))
    keys.press("Enter")
    expect(page.get_by_text("Completed. It is carried out at the directory.")).to_be_visible()
    expect(page.locator("#claim-head .badge")).to_have_text("completed", timeout=patient(30) * 1000)
    at = "SELECT participant FROM pix_entry WHERE key = %s AND status = 'active'"
    assert site.stack.sql(at, key) == [(OURS,)]
    assert key in {one.entry.key for one in directory.dump(OURS)}


def test_a_stranger_claims_our_key_and_the_donor_decides_on_a_phone(
    site: Site, directory: SimulatedDirectory
) -> None:
    tax_id, officer = "11144477735", site.stack.api_key("officer")
    body = {
        "key_type": "CPF",
        "key": tax_id,
        "account": {"participant": OURS, "branch": "0001", "number": "1", "type": "CACC"},
        "owner": {"type": "NATURAL_PERSON", "tax_id": tax_id, "name": "Carla Dias"},
    }
    status, entry = site.call("POST", "/pix/entries", body, officer)
    assert status == 202, entry
    entries = "SELECT status FROM pix_entry WHERE id = %s"
    eventually(lambda: site.stack.sql(entries, entry["id"]) == [("active",)])
    claim = directory.open_claim(tax_id, type="PORTABILITY")
    page = site.sign_in("officer", width=PHONE)
    page.goto("/pix/claims/board/?side=DONOR")
    be_live(page)
    card = page.locator("#board-waiting .row", has_text=claim.id)
    expect(card).to_be_visible(timeout=patient(40) * 1000)
    card.locator("a.row-title").click()
    page.get_by_role("link", name="the donor: a signature in the inbox").click()
    page.get_by_label("Approve", exact=True).check()
    page.get_by_label("Grounds to approve").select_option("USER_REQUESTED")
    page.get_by_role("button", name="Sign the decision").click()
    expect(page.get_by_text("Approved.").first).to_be_visible()
    page.get_by_role("link", name="Open the claim").click()
    be_live(page)
    # The stranger completes it, which is read with the next list.
    badge = page.locator("#claim-head .badge")
    expect(badge).to_have_text("completed", timeout=patient(60) * 1000)
    assert site.stack.sql(entries, entry["id"]) == [("removed",)]


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
