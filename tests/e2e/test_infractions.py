"""An infraction from its report to its end, as the people of both sides see it."""

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.directory import AGREES, SimulatedDirectory
from tests.e2e.conftest import PHONE, Site, be_live, stay, tab_to
from tests.e2e.pix_places import payment_to
from tests.support import eventually, patient

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.e2e


def received(site: Site, directory: SimulatedDirectory) -> str:
    """A stranger reports a payment to one of our accounts: its id here, once it was read."""
    found = directory.open_infraction(amount="1234.56", details="The parcel was empty.")
    query = "SELECT id FROM pix_infraction WHERE directory_id = %s"
    return str(eventually(lambda: site.stack.sql(query, found.id))[0][0])


def is_now(page: "Page", status: str) -> None:
    """Wait until the open page shows the infraction in that status."""
    badge = page.locator("#infraction-head .badge")
    expect(badge).to_have_text(status, timeout=patient(40) * 1000)


def box(page: "Page", name: str) -> "Locator":
    """The box of a verb, unfolded."""
    found = page.locator("details.panel", has=page.locator("summary", has_text=name))
    found.locator("summary").click()
    return found


def test_a_report_about_us_is_looked_into_escalated_decided_and_closed(
    site: Site, directory: SimulatedDirectory
) -> None:
    infraction = received(site, directory)
    page = site.sign_in("officer")
    page.goto("/pix/infractions/?due=open")
    page.locator(f"a[href='/pix/infractions/{infraction}/']").click()
    be_live(page)
    is_now(page, "acknowledged")
    request = page.locator("#asked a[href^='/requests/']")
    expect(request).to_be_visible()
    evidence = box(page, "Bring evidence")
    evidence.locator("textarea").fill("The holder withdrew all of it within a minute.")
    evidence.get_by_role("button").click()
    expect(page.get_by_text("Added to the request.")).to_be_visible()
    expect(page.locator("#evidence")).to_contain_text("withdrew all of it")
    is_now(page, "under investigation")
    escalation = box(page, "Escalate it")
    escalation.locator("textarea").fill("It is about many payments.")
    escalation.get_by_role("button").click()
    is_now(page, "escalated")
    # Open from the receipt on, and signed by somebody who has never seen the page.
    be_live(page)
    stayed = stay(page)
    senior = site.sign_in("officer2", width=PHONE)
    senior.goto("/inbox/?kind=infraction")
    senior.locator(f"#inbox-rows a[href*='{request.get_attribute('href')}']").first.click()
    expect(senior.locator("main")).to_contain_text("withdrew all of it")
    senior.get_by_label("Approve", exact=True).check()
    senior.get_by_label("Grounds to approve").select_option(label="Mule account")
    senior.get_by_role("button", name="Sign the decision").click()
    expect(senior.get_by_text("Approved.").first).to_be_visible()
    is_now(page, "closed")
    assert stayed()
    expect(page.locator("#asked")).to_contain_text("mule account")
    expect(page.locator("#timeline")).to_contain_text("Told the directory")
    query = "SELECT directory_id FROM pix_infraction WHERE id = %s"
    ((there,),) = site.stack.sql(query, infraction)
    assert there not in {one.id for one in directory.show().infractions}


def test_a_report_of_ours_is_made_by_keyboard_alone_and_answered_before_ones_eyes(
    site: Site, directory: SimulatedDirectory
) -> None:
    payment = payment_to(directory, AGREES)
    page = site.sign_in("officer")
    page.goto("/pix/infractions/")
    keys = page.keyboard
    tab_to(page, page.get_by_role("link", name="Report an infraction").first)
    keys.press("Enter")
    page.wait_for_url("**/pix/infractions/new/")
    tab_to(page, page.get_by_label("Our participant"))
    keys.type("Banco")
    tab_to(page, page.get_by_label("Id of the payment"))
    keys.type(payment)
    tab_to(page, page.get_by_label("What happened"))
    keys.type("account")
    tab_to(page, page.get_by_label("Details"))
    keys.type("The phone was stolen an hour before.")
    tab_to(page, page.get_by_role("button", name="Report it"))
    keys.press("Enter")
    page.wait_for_url(re.compile("/pix/infractions/[0-9a-f-]{36}/"))
    expect(page.get_by_role("heading", level=1)).to_contain_text(payment)
    be_live(page)
    stayed = stay(page)
    is_now(page, "closed")
    assert stayed()
    expect(page.locator("#asked")).to_contain_text("Decided as")
    expect(page.locator("#timeline")).to_contain_text("Told the directory")
    # It can be taken back, also when it was answered.
    tab_to(page, page.locator("summary", has_text="Take the report back"))
    keys.press("Enter")
    tab_to(page, page.get_by_role("button", name="Take it back"))
    keys.press("Enter")
    is_now(page, "cancelled")
