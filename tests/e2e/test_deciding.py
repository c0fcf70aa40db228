"""From the request's arrival in the inbox to the money in the budget, as people see it."""

import re
import statistics
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, be_live, stay
from tests.many import open_many, spoil
from tests.support import FULL_SIZE, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

#: `make large` decides as many as people may in one go; twenty of them are spoilt in between.
HUNDREDS = 300 if FULL_SIZE else 80
#: Notes when a text appears in the list, by the clock that the server has as well.
WATCH = """text => {
  window.seenAt = 0;
  const look = () => {
    if (!window.seenAt && document.getElementById('inbox-rows').textContent.includes(text)) {
      window.seenAt = Date.now();
    }
  };
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
  look();
}"""


def place(name: str) -> str:
    """A target that no other test uses."""
    return f"{name} {uuid4().hex[:6]}"


def spent(page: "Page") -> float:
    words = page.locator("#budget-figures .legend").inner_text()
    found = re.search(r"spent\s+NGN\s([\d,.]+)", words)
    assert found, words
    return float(found[1].replace(",", ""))


def sign(page: "Page", verdict: str, reason: str) -> None:
    page.get_by_label(verdict, exact=True).check()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Sign the decision").click()


def test_a_request_arrives_is_approved_is_executed_and_the_budget_moves(site: Site) -> None:
    inbox = site.sign_in("reviewer")
    inbox.goto("/inbox/")
    be_live(inbox)
    stayed = stay(inbox)

    delays = []
    for number in range(3):
        target = place(f"Health post {number}")
        inbox.evaluate(WATCH, target)
        request = site.asked(target)
        seen_at = eventually(lambda: inbox.evaluate("() => window.seenAt"))
        opened_at = datetime.fromisoformat(request["created_at"]).timestamp()
        delays.append(seen_at / 1000 - opened_at)
    assert statistics.median(delays) < 1.0, delays
    assert stayed()

    budget = site.sign_in("reviewer")
    budget.goto("/budgets/demo-2026/")
    be_live(budget)
    before = spent(budget)
    budget_stayed = stay(budget)

    inbox.get_by_role("link", name=target).click()
    be_live(inbox)
    sign(inbox, "Approve", "The papers are complete.")
    expect(inbox.get_by_text("Approved. The programs take it from here")).to_be_visible()
    page_stayed = stay(inbox)
    expect(inbox.locator("#request-now")).to_contain_text("executed", timeout=20_000)
    expect(inbox.locator("#timeline")).to_contain_text("Executed")
    assert page_stayed()

    expect(budget.locator("#budget-ledger tr").first).to_contain_text(target, timeout=20_000)
    eventually(lambda: spent(budget) == before + 25_000)
    assert budget_stayed()
    ended = site.ends_as(request["intervention"], "executed")
    assert [line["kind"] for line in ended["ledger"]] == ["reserve", "commit"]


def test_with_sockets_blocked_nothing_changes_until_the_page_is_loaded_again(site: Site) -> None:
    page = site.sign_in("reviewer", sockets=False)
    page.goto("/inbox/")
    expect(page.locator("[data-live-indicator][data-live-state=off]")).to_be_visible()
    expect(page.get_by_text("Not live: reload the page to see what changed.")).to_be_attached()
    before = page.locator("#inbox-rows .row-title").all_inner_texts()
    target = place("Kano traders")
    site.asked(target)
    # Another page is told meanwhile: this one had as much time.
    other = site.sign_in("reviewer2")
    other.goto("/inbox/")
    expect(other.get_by_role("link", name=target)).to_be_visible()
    be_live(other)
    second = place("Kano traders again")
    site.asked(second)
    expect(other.get_by_role("link", name=second)).to_be_visible()
    assert before and page.locator("#inbox-rows .row-title").all_inner_texts() == before
    page.reload()
    expect(page.get_by_role("link", name=target)).to_be_visible()
    expect(page.get_by_role("link", name=second)).to_be_visible()


def test_approving_as_an_admin_action_executes_it_too(site: Site) -> None:
    target = place("Enugu school")
    request = site.asked(target)
    page = site.sign_in("reviewer")
    page.goto(f"/admin/approvals/approvalrequest/?q={request['id']}")
    page.locator("input.action-select").check()
    page.select_option("select[name=action]", "approve")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_text("Yours is the last signature: it is carried out.")).to_be_visible()
    page.get_by_label("Reason").fill("Seen on site.")
    page.get_by_role("button", name="Approve and sign").click()
    expect(page.get_by_text("It is approved now.")).to_be_visible()
    site.ends_as(request["intervention"], "executed")


def test_of_two_reviewers_the_second_is_told_who_and_when(site: Site) -> None:
    request = site.asked(place("Oyo farms"))
    first = site.sign_in("reviewer")
    second = site.sign_in("reviewer2", sockets=False)
    for page in (first, second):
        page.goto(f"/requests/{request['id']}/")
    second.get_by_label("Reject", exact=True).check()
    second.get_by_label("Reason").fill("The invoice names another person.")
    sign(first, "Approve", "In order.")
    expect(first.get_by_text("Approved. The programs")).to_be_visible()
    second.get_by_role("button", name="Sign the decision").click()
    refusal = second.locator("#refusal")
    expect(refusal).to_contain_text("Ngozi Okafor was first: it is already approved.")
    expect(refusal.locator("time")).to_be_visible()
    expect(refusal).to_be_focused()
    assert request["id"] in second.url


def test_a_page_that_was_open_keeps_what_was_typed_when_somebody_else_decides(site: Site) -> None:
    request = site.asked(place("Blood bank"))
    waiting = site.sign_in("reviewer2")
    waiting.goto(f"/requests/{request['id']}/")
    be_live(waiting)
    waiting.get_by_label("Reason").fill("I would like to see the invoice.")
    other = site.sign_in("reviewer")
    other.goto(f"/requests/{request['id']}/")
    sign(other, "Reject", "Asked twice.")
    decided = waiting.locator("#decide")
    expect(decided).to_contain_text("Asked twice.")
    expect(decided).to_contain_text("What you had written was not sent")
    expect(decided).to_contain_text("I would like to see the invoice.")


def test_the_requester_is_refused_on_the_page_and_by_the_api(site: Site) -> None:
    request = site.asked(place("Own goal"))
    page = site.sign_in("requester")
    page.goto(f"/requests/{request['id']}/")
    expect(page.locator("#decide")).to_contain_text("Nobody signs what they asked for.")
    expect(page.get_by_role("button", name="Sign the decision")).to_have_count(0)
    status, answer = site.call(
        "POST",
        f"/approvals/{request['id']}/decide",
        {"verdict": "approve", "reason": "Mine.", "payload_hash": request["payload_hash"]},
    )
    assert status == 403
    assert answer["code"] == "requester_cannot_sign"


def test_the_whole_decision_by_keyboard_alone(site: Site) -> None:
    target = place("Keyboard village")
    site.asked(target)
    page = site.sign_in("reviewer")
    page.goto("/inbox/?mine=on")
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    keys.press("Enter")
    keys.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    keys.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    keys.press("j")
    expect(page.locator("#inbox-rows .row-title").first).to_be_focused()
    keys.press("j")
    keys.press("k")
    expect(page.get_by_role("link", name=target)).to_be_focused()
    keys.press("Enter")
    page.wait_for_url(re.compile("/requests/"))
    keys.press("a")
    expect(page.get_by_label("Reason")).to_be_focused()
    keys.type("Typed, never pointed: a j k r ?")
    keys.press("Tab")
    expect(page.get_by_role("button", name="Sign the decision")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("Approved. The programs take it from here")).to_be_visible()
    expect(page.locator("#request-signatures")).to_contain_text("Typed, never pointed: a j k r ?")


def test_every_key_that_the_help_promises_does_something(site: Site) -> None:
    word = f"Keys{uuid4().hex[:6]}"
    request = site.asked(f"{word} pumps")
    page = site.sign_in("reviewer")
    page.goto("/inbox/?mine=on")
    be_live(page)
    keys = page.keyboard
    keys.press("f")
    expect(page.get_by_label("Search", exact=True)).to_be_focused()
    keys.type(word)
    keys.press("Enter")
    row = page.locator("#inbox-rows tr")
    expect(row).to_have_count(1)
    be_live(page)
    keys.press("j")
    keys.press("x")
    expect(page.locator("#inbox-rows input[name=ids]")).to_be_checked()
    expect(page.locator("[data-picked]")).to_contain_text("1 ticked")
    # A tick by a key leaves the focus on the row's title.
    keys.press("c")
    expect(row.get_by_role("button", name="Release")).to_be_visible()
    keys.press("j")
    keys.press("r")
    page.wait_for_url(re.compile(f"/requests/{request['id']}/.*verdict=reject"))
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    page.goto(f"/requests/{request['id']}/")
    expect(page.locator("#held")).to_contain_text("You hold it")
    # Each key loads the page again, and what it shows is there before what listens.
    be_live(page)
    keys.press("c")
    expect(page.get_by_role("button", name="Claim", exact=True)).to_be_visible()
    be_live(page)
    keys.press("c")
    expect(page.locator("#held")).to_contain_text("You hold it")
    keys.press("r")
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    expect(page.locator("#id_reason")).to_be_focused()


def test_while_the_database_is_away_the_page_stays_and_says_so(site: Site) -> None:
    page = site.sign_in("reviewer")
    page.goto("/inbox/?mine=on")
    be_live(page)
    before = page.locator("#inbox-rows .row-title").all_inner_texts()
    page.route("**/inbox/live/**", lambda route: route.fulfill(status=503, body=""))
    site.asked(place("Unreachable"))
    away = page.locator("[data-live-indicator][data-live-state=away]")
    expect(away).to_be_visible()
    expect(page.get_by_text("Not reachable, trying again.")).to_be_attached()
    assert before and page.locator("#inbox-rows .row-title").all_inner_texts() == before
    page.unroute("**/inbox/live/**")
    be_live(page)
    # The browser's console told of the 503, as it should.
    site.complaints.clear()


def test_everything_works_without_scripts(site: Site) -> None:
    target = place("No scripts here")
    requester = site.sign_in("requester", scripts=False)
    requester.goto("/interventions/new/")
    requester.select_option("select[name=policy]", "demo-relief")
    requester.select_option("select[name=budget]", "demo-2026")
    requester.fill("input[name=amount]", "30000.00")
    requester.fill("input[name=target]", target)
    requester.fill("textarea[name=justification]", "Plain forms are enough.")
    requester.get_by_role("button", name="Ask", exact=True).click()
    expect(requester.locator("h1")).to_contain_text(target)
    intervention = requester.url.rstrip("/").rpartition("/")[2]
    site.request_of(intervention)
    reviewer = site.sign_in("reviewer", scripts=False)
    reviewer.goto("/inbox/?mine=on")
    reviewer.get_by_role("link", name=target).click()
    expect(reviewer.locator("#request-head")).to_contain_text("UTC")
    sign(reviewer, "Approve", "Good.")
    expect(reviewer.get_by_text("Approved. The programs take it from here")).to_be_visible()
    site.ends_as(intervention, "executed")
    reviewer.reload()
    expect(reviewer.locator("#request-now")).to_contain_text("executed")


@pytest.mark.timeout(300)
def test_hundreds_together_while_the_browser_is_closed_and_opened_again(site: Site) -> None:
    word = f"Shipment{uuid4().hex[:6]}"
    open_many(site.stack, HUNDREDS, word)
    page = site.sign_in("reviewer")
    page.goto(f"/inbox/?mine=on&q={word}")
    page.get_by_role("button", name="that match").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{HUNDREDS} can be signed by you")
    expect(page.locator("#bulk-lines input:checked")).to_have_count(HUNDREDS)
    # While the page is read, twenty of them become something else.
    spoil(site.stack, 20, word)
    page.get_by_label("Reject", exact=True).check()
    page.get_by_label("Reason").fill("The shipment never left.")
    page.get_by_role("button", name="Sign all that is ticked").click()
    page.wait_for_url(re.compile("/bulk/"))
    be_live(page)
    stayed = stay(page)
    bar = page.locator("#bulk-progress [role=progressbar]")
    eventually(lambda: int(bar.get_attribute("aria-valuenow") or 0) > 20, 30)
    assert stayed()
    before = int(bar.get_attribute("aria-valuenow") or 0)
    assert before < HUNDREDS
    page.context.close()
    site.contexts.remove(page.context)

    again = site.sign_in("reviewer")
    again.goto("/bulk/")
    again.get_by_role("link", name=f"Reject {HUNDREDS} requests").click()
    expect(again.locator("#bulk-progress h2")).to_have_text(
        f"{HUNDREDS} of {HUNDREDS} decided", timeout=150_000
    )
    expect(again.locator("#bulk-head .badge")).to_have_text("completed")
    expect(again.locator("#tab-signed .count")).to_have_text(str(HUNDREDS - 20))
    again.locator("#tab-refused").click()
    reasons = again.locator("#bulk-items [data-code]")
    expect(reasons).to_have_count(20)
    codes = Counter(reason.get_attribute("data-code") for reason in reasons.all())
    assert codes == {"claimed": 10, "already_decided": 5, "payload_changed": 5}
    assert all(reason.inner_text() for reason in reasons.all())
    rows = site.stack.sql(
        "SELECT count(*), count(DISTINCT s.request_id) FROM approvals_signature s"
        " JOIN approvals_approvalrequest r ON r.id = s.request_id"
        " WHERE s.via = 'bulk' AND r.search_text LIKE %s",
        f"%{word}%",
    )
    assert rows == [(HUNDREDS - 20, HUNDREDS - 20)]


def test_a_few_together_without_scripts_and_by_keyboard_alone(site: Site) -> None:
    word = f"Handful{uuid4().hex[:6]}"
    open_many(site.stack, 3, word)
    plain = site.sign_in("reviewer", scripts=False)
    plain.goto(f"/inbox/?mine=on&q={word}")
    plain.locator("#inbox-rows input[name=ids]").first.check()
    plain.get_by_role("button", name="Decide what is ticked").click()
    sign_together(plain, "One by hand.")
    eventually(lambda: plain.reload() and plain.get_by_text("1 of 1 decided").count(), 20)

    page = site.sign_in("reviewer")
    page.goto(f"/inbox/?mine=on&q={word}")
    keys = page.keyboard
    page.get_by_role("button", name="that match").focus()
    keys.press("Enter")
    expect(page.locator("#bulk-lines input:checked")).to_have_count(2)
    page.locator("#bulk-lines input").first.focus()
    keys.press("Space")
    page.locator("#bulk-run input[value=approve]").focus()
    keys.press("ArrowRight")
    expect(page.get_by_label("Reject", exact=True)).to_be_checked()
    # The grounds of a rejection may be chosen here; then comes the text.
    keys.press("Tab")
    keys.press("Tab")
    keys.type("Typed.")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_text("1 of 1 decided")).to_be_visible(timeout=20_000)


def sign_together(page: "Page", reason: str) -> None:
    page.get_by_label("Reject", exact=True).check()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Sign all that is ticked").click()
