"""A replay of what a filter matches, in a browser: ramp, pause, resume, the worker killed,
cancelled on the way; and one that pauses by itself. Whatever happens, the counts add up."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.conftest import MakeStack
from tests.e2e.conftest import Site, be_live
from tests.payments.samples import an_event
from tests.stack import Stack
from tests.support import FULL_SIZE, eventually, patient

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not FULL_SIZE, reason="make large runs it; tests/payments/test_replays.py has each step"
    ),
]

#: Events of the replay, and its rate.
SIZE, RATE = 5000, 100
#: Of one call.
AT_ONCE = 1000
_COUNTS = """
SELECT count(*) FILTER (WHERE i.status = 'waiting'), count(*) FILTER (WHERE i.status = 'running'),
       count(*) FILTER (WHERE i.status = 'done'), count(*) FILTER (WHERE i.status = 'failed'),
       count(*) FILTER (WHERE i.status = 'cancelled'), r.status
  FROM payments_replay_run r JOIN payments_replay_item i ON i.run_id = r.id
 WHERE r.id = %s GROUP BY r.status
"""
_STATES = """
SELECT q.state, count(*), count(e.id) FROM payment_events_quarantine q
  LEFT JOIN payment_events e ON e.event_id = q.event_id
 WHERE q.search_text LIKE %s GROUP BY q.state
"""
_RULE = "UPDATE payments_rule SET enabled = %s WHERE code = 'currency_allowed'"


@pytest.fixture
def site(make_stack: MakeStack, chromium: "Browser") -> Iterator[Site]:
    """A site of the test's own, whose worker it may kill. Its events are quarantined in batches."""
    stack = make_stack(env={"PAYMENTS_LANE": "batch", "INFERENCE_BULK": "true"})
    found = Site(stack=stack, browser=chromium, key=stack.api_key("admin"))
    yield found
    for context in found.contexts:
        context.close()
    assert found.complaints == []


def quarantine(site: Site, number: int) -> str:
    """So many events that a rule fails; the word that finds them."""
    word = f"customer-{uuid4().hex[:12]}"
    site.stack.sql(_RULE, True)
    events = [an_event(f"{word}:{n}", currency="SEK", customer_id=word) for n in range(number)]
    for first in range(0, number, AT_ONCE):
        some = events[first : first + AT_ONCE]
        status, answer = site.call("POST", "/payment-events", some, site.key)
        assert (status, answer["accepted"]) == (202, len(some)), answer

    def all_there() -> bool:
        found = site.stack.sql(_STATES, f"%{word}%")
        return [row[:2] for row in found] == [("open", number)]

    eventually(all_there, 300, every=0.2)
    return word


def begin(page: "Page", word: str) -> str:
    """Replay what the word finds; the id of the replay."""
    page.goto(f"/quarantine/events/?q={word}&state=open")
    page.get_by_role("link", name="Replay these").click()
    page.get_by_label("Events a second").fill(str(RATE))
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url(re.compile(r"/quarantine/replays/[0-9a-f-]{36}/"))
    be_live(page)
    found = re.search(r"/replays/([0-9a-f-]{36})/", page.url)
    assert found
    return found.group(1)


def act(page: "Page", verb: str) -> None:
    """Press the button of the verb, which may be in a box that unfolds."""
    form = page.locator(f"form[action$='/{verb}/']")
    form.wait_for(state="attached", timeout=patient(60) * 1000)
    box = page.locator(f"#{verb}-box:not([open]) > summary")
    if box.count():
        box.click()
    form.get_by_role("button").click()


def counts(stack: Stack, run: str) -> dict[str, Any]:
    names = ("waiting", "running", "done", "failed", "cancelled", "status")
    return dict(zip(names, stack.sql(_COUNTS, run)[0], strict=True))


def until(stack: Stack, run: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The counts, when they are so."""

    def look() -> dict[str, Any] | None:
        found = counts(stack, run)
        return found if holds(found) else None

    return eventually(look, 600, every=0.1)


def begun(found: dict[str, Any]) -> int:
    return int(found["running"] + found["done"] + found["failed"])


def test_paused_resumed_killed_and_cancelled_its_counts_add_up(site: Site) -> None:
    stack = site.stack
    word = quarantine(site, SIZE)
    stack.sql(_RULE, False)
    page = site.sign_in("releaser")
    run = begin(page, word)
    until(stack, run, lambda found: begun(found) >= 26)
    act(page, "pause")
    paused = until(stack, run, lambda one: one["status"] == "paused" and not one["running"])
    # Nothing begins while it is paused: the same figures after another wave's time.
    page.wait_for_timeout(1500)
    assert counts(stack, run) == paused
    act(page, "resume")
    until(stack, run, lambda one: begun(one) >= begun(paused) + 10)
    stack.kill9("worker")
    stack.restart("worker")
    until(stack, run, lambda one: one["done"] >= SIZE // 2)
    act(page, "cancel")
    ended = until(stack, run, lambda one: one["status"] == "cancelled" and not one["running"])
    assert ended["failed"] == ended["waiting"] == 0
    assert ended["done"] + ended["cancelled"] == SIZE
    assert ended["done"] >= SIZE // 2
    states = {state: (rows, kept) for state, rows, kept in stack.sql(_STATES, f"%{word}%")}
    assert states == {
        "replayed": (ended["done"], ended["done"]),
        "open": (ended["cancelled"], 0),
    }
    for name in (f"Kept {ended['done']}", f"Not begun {ended['cancelled']}"):
        expect(page.get_by_role("link", name=name)).to_be_visible(timeout=patient(20) * 1000)
    assert stack.manage("checkquarantine")


def test_one_whose_events_fail_again_pauses_by_itself(site: Site) -> None:
    word = quarantine(site, 60)
    page = site.sign_in("releaser")
    run = begin(page, word)
    paused = until(site.stack, run, lambda one: one["status"] == "paused" and not one["running"])
    assert paused["failed"] <= 26 and paused["done"] == 0
    assert paused["failed"] + paused["waiting"] == 60
    expect(page.locator("#resume-box, form[action$='/resume/']").first).to_be_visible(
        timeout=patient(20) * 1000
    )
