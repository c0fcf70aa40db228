"""Live lists: nothing moves under the pointer, and a lost connection costs no change."""

from itertools import pairwise
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Site, be_live, stay
from tests.support import eventually

pytestmark = pytest.mark.e2e


def test_nothing_moves_under_the_pointer(site: Site) -> None:
    for number in range(2):
        site.asked(f"Standing {number} {uuid4().hex[:6]}")
    page = site.sign_in("reviewer")
    page.goto("/inbox/")
    be_live(page)
    row = page.locator("#inbox-rows > tr").first
    title = row.locator("a").inner_text()
    row.hover()
    box = row.bounding_box()
    target = f"Arriving {uuid4().hex[:6]}"
    request = site.asked(target)
    bar = page.locator("[data-arrivals-for=inbox-rows]")
    expect(bar).to_contain_text("1 new:")
    expect(bar.get_by_role("link", name=target)).to_be_visible()
    assert page.locator("#inbox-rows > tr").first.locator("a").inner_text() == title
    assert row.bounding_box() == box
    # One that is decided elsewhere stays where it is, struck through.
    key = site.stack.api_key("reviewer2")
    gone = row.get_attribute("data-key")
    shown = site.call("GET", f"/approvals/{gone}", key=key)[1]
    decision = {"verdict": "reject", "reason": "No.", "payload_hash": shown["payload_hash"]}
    assert site.call("POST", f"/approvals/{gone}/decide", decision, key)[0] == 200
    expect(page.locator(f"#inbox-rows > tr[data-key='{gone}'][data-gone]")).to_be_visible()
    assert row.bounding_box() == box
    page.mouse.move(5, 5)
    expect(page.locator(f"#inbox-rows > tr[data-key='{gone}']")).to_have_count(0)
    first = page.locator("#inbox-rows > tr").first
    expect(first).to_have_attribute("data-key", request["id"])
    expect(bar).not_to_contain_text("new:")


def test_new_rows_are_shown_on_demand_while_the_keyboard_is_in_the_list(site: Site) -> None:
    site.asked(f"Standing {uuid4().hex[:6]}")
    page = site.sign_in("reviewer")
    page.goto("/inbox/")
    be_live(page)
    page.keyboard.press("j")
    target = f"Arriving {uuid4().hex[:6]}"
    site.asked(target)
    show = page.get_by_role("button", name="Show")
    expect(show).to_be_visible()
    page.keyboard.press("n")
    expect(show).to_be_hidden()
    expect(page.locator("#inbox-rows").get_by_role("link", name=target)).to_be_focused()


def test_after_a_restart_of_the_web_process_the_page_catches_up_by_itself(site: Site) -> None:
    page = site.sign_in("reviewer")
    page.goto("/inbox/")
    be_live(page)
    stayed = stay(page)
    site.stack.kill9("web")
    gone = ":is([data-live-state=off], [data-live-state=away])"
    expect(page.locator(f"[data-live-indicator]{gone}")).to_be_visible()
    site.stack.restart("web")
    site.stack.wait_ready()
    target = f"Missed {uuid4().hex[:6]}"
    site.asked(target)
    be_live(page)
    expect(page.get_by_role("link", name=target)).to_be_visible()
    assert stayed()
    # Fetches that found no server are told to the console: here that is as it should be.
    site.complaints[:] = [one for one in site.complaints if "htmx:" not in one]


#: Instead of a socket: the test says what is heard. The page's fetches are noted, not made.
NO_SOCKET = """
window.WebSocket = class extends EventTarget {
  static OPEN = 1;
  readyState = 1;
  constructor() { super(); window.socket = this; }
};
window.fetched = [];
window.addEventListener("live", (event) => {
  event.stopImmediatePropagation();
  if (event.target.dataset.live === "inbox") window.fetched.push(performance.now());
}, true);
window.hear = () => {
  const data = JSON.stringify({ topic: "inbox", id: "1", version: 1 });
  window.socket.dispatchEvent(new MessageEvent("message", { data }));
  return performance.now();
};
"""


def test_a_part_is_fetched_at_most_twice_a_second_and_every_change_is_seen(site: Site) -> None:
    page = site.sign_in("reviewer")
    page.add_init_script(NO_SOCKET)
    page.clock.install(time=0)
    page.goto("/inbox/")
    page.clock.pause_at(3_600_000)
    heard = []
    for pause in [*[40] * 60, 2000, 30]:
        heard.append(page.evaluate("hear()"))
        page.clock.run_for(pause)
    page.clock.run_for(1000)
    fetched = page.evaluate("fetched")
    gaps = [later - at for at, later in pairwise(fetched)]
    assert len(fetched) > 4 and min(gaps) >= 500
    assert all(any(0 <= at - change <= 500 for at in fetched) for change in heard)


def test_counts_in_the_header_follow_on_every_page(site: Site) -> None:
    page = site.sign_in("reviewer")
    page.goto("/budgets/")
    be_live(page)
    count = page.locator("#nav-inbox")

    def shown() -> int:
        words = count.inner_text() if count.is_visible() else "0"
        return int(words.split()[0])

    before = shown()
    site.asked(f"Counted {uuid4().hex[:6]}")
    eventually(lambda: shown() == before + 1)


def test_the_theme_is_kept_across_pages_and_in_the_admin(site: Site) -> None:
    page = site.sign_in("admin")
    page.goto("/")
    look = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(look)
    toggle = page.locator("[data-theme-toggle]")
    toggle.click()
    toggle.click()
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(look) != light
    for path in ("/inbox/", "/admin/", "/nowhere/"):
        page.goto(path)
        assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"


def test_people_at_one_request_see_each_other_and_what_is_said(site: Site) -> None:
    request = site.asked(f"Watched {uuid4().hex[:6]}")
    first, second = site.sign_in("reviewer"), site.sign_in("reviewer2")
    for page in (first, second):
        page.goto(f"/requests/{request['id']}/")
        be_live(page)
    seen = first.locator("#request-presence")
    expect(seen).to_contain_text("is looking at this now.")
    # What one is writing, and a file that was chosen, stay while the other's comment comes in.
    first.fill("#comment-text", "Half a thought")
    first.get_by_text("Add a file").click()
    chosen = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"what was seen"}
    first.set_input_files("#evidence-file", files=[chosen])  # type: ignore[list-item]
    stayed = stay(first)
    second.fill("#comment-text", "@reviewer have you called them?\n<b>No?</b>")
    second.get_by_role("button", name="Comment").click()
    said = first.locator("#request-comments li").last
    expect(said).to_contain_text("@reviewer have you called them?")
    expect(said).to_contain_text("<b>No?</b>")
    expect(first.locator("#comments-count")).to_have_text("1")
    assert stayed()
    assert first.input_value("#comment-text") == "Half a thought"
    assert first.evaluate("document.getElementById('evidence-file').files.length") == 1
    first.get_by_role("button", name="Add the file").click()
    expect(second.locator("#request-evidence").get_by_role("link", name="a.txt")).to_be_visible()
    second.goto("/inbox/")
    expect(seen).to_be_empty()


def test_a_file_comes_and_goes_without_scripts_and_one_too_large_is_told_in_words(
    site: Site,
) -> None:
    request = site.asked(f"Proven {uuid4().hex[:6]}")
    page = site.sign_in("reviewer", scripts=False)
    page.goto(f"/requests/{request['id']}/")
    page.locator("#evidence summary").click()
    large = {"name": "a.csv", "mimeType": "text/csv", "buffer": b"a,b\n" * 3_000_000}
    page.set_input_files("#evidence-file", files=[large])  # type: ignore[list-item]
    page.get_by_role("button", name="Add the file").click()
    expect(page.get_by_text("more than this site takes")).to_be_visible()
    page.goto(f"/requests/{request['id']}/")
    page.locator("#evidence summary").click()
    good = {"name": "../a.html", "mimeType": "text/html", "buffer": b"a,b\n" * 1_000_000}
    page.set_input_files("#evidence-file", files=[good])  # type: ignore[list-item]
    page.get_by_role("button", name="Add the file").click()
    with page.expect_download() as download:
        page.locator("#request-evidence").get_by_role("link", name="a_html.csv").click()
    assert download.value.path().read_bytes() == good["buffer"]


def test_a_page_whose_part_is_refused_says_that_it_no_longer_follows(site: Site) -> None:
    """The right was taken away, the row is gone: nothing will change there by itself any more."""
    page = site.sign_in("reviewer")
    page.goto("/inbox/")
    be_live(page)
    stayed = stay(page)
    page.route("**/inbox/live/**", lambda route: route.fulfill(status=404, body="gone"))
    site.asked(f"Unseen {uuid4().hex[:6]}")
    indicator = page.locator("[data-live-indicator]")
    expect(indicator).to_contain_text("Not live")
    expect(indicator.get_by_role("link")).to_be_visible()
    # Seen again, it is live again: the next change is fetched.
    page.unroute("**/inbox/live/**")
    target = f"Seen {uuid4().hex[:6]}"
    site.asked(target)
    be_live(page)
    expect(page.get_by_role("link", name=target)).to_be_visible()
    assert stayed()
    # A part that is refused is told to the console: here that is as it should be.
    site.complaints[:] = [one for one in site.complaints if "from /inbox/live/" not in one]
