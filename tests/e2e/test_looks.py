"""Every page: axe finds nothing, nothing overflows, nothing is blocked.

Each in one theme and at one width, chosen by its name, so that all four combinations occur; in
`make large` each in all four. `SCREENSHOTS=<folder>` keeps a picture of each for somebody to look
at.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zlib import crc32

import axe_playwright_python
import pytest
import requests
from django.template.loader import get_template

from tests.accounts.world import code_of
from tests.automations.drawing import condition, delay, failing, graph, node, transform
from tests.e2e.conftest import DESKTOP, PHONE, Site, be_live
from tests.support import FULL_SIZE, eventually, patient

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.e2e

#: A folder: the pages' pictures are kept there for somebody to look at.
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
WIDTHS = (DESKTOP, PHONE)
#: Nothing may stand out of a window of this width either.
NARROWEST = 360
#: Whether every page is looked at in both themes at both widths.
EVERY_LOOK = bool(SCREENSHOTS) or FULL_SIZE
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
    # It would put style elements into the page, which the content security policy forbids.
    "preload": False,
    # Off unless asked for: links, buttons and fields of at least 24 by 24 px.
    "rules": {"target-size": {"enabled": True}},
}
#: Rows alike, of which the first few show what is wrong with any, and what is around every page,
#: which is looked at once for each person and theme. `make large` looks at all of it.
ALIKE = ["tbody > tr:nth-child(n+6)", ".rows > li:nth-child(n+6)"]
AROUND = ["header", "#side-nav", ".bottom-bar", "#nav-sidebar"]
TOO_WIDE = "the page is wider than the window"
#: In Django's own templates, none of them serious: headings that skip a level, landmarks.
ADMIN_FORGIVEN = {"heading-order", "region", "landmark-unique", "empty-table-header"}


def named(name: str, edges: str, **nodes: dict[str, Any]) -> dict[str, Any]:
    return {**graph(edges, **nodes), "name": name}


#: Codes, definitions and params of executions: some that waits, one that fails, one that is large.
EXECUTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "looks-waits",
        named(
            "Release an order",
            "order>large large>sign:true large>release:false sign>release:approved "
            "sign>refuse:rejected order>letter order>wait wait>letter refuse>letter",
            order=transform(id="params.order", amount="params.amount"),
            large=condition("inputs.amount > 100000"),
            sign=node("approval", title="Release order {{ params.order }}", group="reviewer"),
            wait=delay(86_400),
        ),
        {"order": "2026-0372", "amount": 730_000},
    ),
    (
        "looks-fails",
        named(
            "Make an offer",
            "customer>score score>offer offer>letter customer>country",
            customer=transform(name="params.name"),
            score=transform(score="inputs.score"),
            offer=failing(),
        ),
        {"name": "Adaeze Nwosu"},
    ),
    (
        "looks-large",
        named(
            "Pay all regions",
            " ".join(
                f"region-{n}>check-{n} check-{n}>pay-{n}:true pay-{n}>report" for n in range(19)
            ),
            **{f"check-{n}": condition(f"{n} < 12") for n in range(19)},
            **{f"pay-{n}": delay(86_400 if n > 8 else 0) for n in range(19)},
            report=transform(all="inputs"),
        ),
        {},
    ),
]


@pytest.fixture(scope="module")
def places(shared_site: Site) -> dict[str, dict[str, str]]:
    """Addresses by who opens them, and what for: a round of its own each, so that none takes too
    long on a busy machine. With something to see on each."""
    site = shared_site
    waiting = site.asked("Makoko Health Post", "620000.00")
    done = site.ask("Mrs. Funke Alade", "4500.00")
    site.ends_as(done["id"], "executed")
    failing = site.asked("Cooperativa Boa Vista", "48000.00")
    key = site.stack.api_key("reviewer")
    decision = {"verdict": "reject", "reason": "The invoice names another person."}
    decision["reason_code"] = "wrong_target"
    decision["payload_hash"] = failing["payload_hash"]
    site.call("POST", f"/approvals/{failing['id']}/decide", decision, key)
    site.ends_as(failing["intervention"], "rejected")
    bulk = _busy(site, waiting, key)
    transfer = _transfer(site)
    batch, signed = _batch(site)
    return {
        "reviewer": {
            "home": "/",
            "inbox": "/inbox/",
            "inbox-empty": "/inbox/?least=999999999",
            "inbox-filtered": "/inbox/?q=Makoko&due=over&claim=free&age=7d&group=reviewer",
            "bulk-list": "/bulk/",
            "bulk": f"/bulk/{bulk}/",
            "delegations": "/delegations/",
            "search": "/search/",
            "search-found": f"/search/?q={waiting['intervention']}",
            "search-nothing": "/search/?q=xylophone",
            "request-open": f"/requests/{waiting['id']}/",
            "request-rejecting": f"/requests/{waiting['id']}/?verdict=reject",
            "request-settled": f"/requests/{failing['id']}/",
            "not-found": "/nowhere/",
            "not-allowed": "/interventions/new/",
            "form-only": "/logout/",
        },
        "reviewer of money": {
            "interventions": "/interventions/",
            "interventions-region": "/interventions/?region=NG",
            "intervention-executed": f"/interventions/{done['id']}/",
            "budgets": "/budgets/",
            "budget": "/budgets/demo-2026/",
            "policies": "/policies/",
            "policy": "/policies/demo-relief/",
            "outcomes": "/interventions/outcomes/?by=budget",
            "outcomes-refused": "/interventions/outcomes/?from=2026-02-02&to=2026-02-01",
            "budgets-filtered": "/budgets/?series=outreach&state=open",
            "budget-ledger": "/budgets/relief-north-2026/?kind=reserve",
            "batches": "/interventions/batches/",
            "batches-empty": "/interventions/batches/?status=rejected",
            "batch": f"/interventions/batches/{batch}/?show=failed",
            "batch-request": f"/requests/{signed}/",
            "transfers": "/budgets/transfers/",
            "transfers-empty": "/budgets/transfers/?status=failed",
            "transfer": f"/budgets/transfers/{transfer}/",
        },
        "requester": {
            "home-requester": "/",
            "intervention-new": "/interventions/new/",
            "intervention-waiting": f"/interventions/{waiting['intervention']}/",
            "edit": f"/requests/{waiting['id']}/edit/",
            "batch-new": "/interventions/batches/new/",
            "batch-own": f"/interventions/batches/{batch}/",
            "transfer-new": "/budgets/transfers/new/?from=education-2026",
            "transfer-own": f"/budgets/transfers/{transfer}/",
            "trips": "/trips/",
            "trip": f"/trips/{_trip(site)}/?leg=2",
            "notifications": "/notifications/",
            "notification-settings": "/settings/notifications/",
            "security": "/account/security/",
            "password": "/account/password/",
        },
        "agent": _wallets(site) | _bookings(site),
        "editor": _executions(site)
        | {
            "automations": "/automations/",
            "automations-empty": "/automations/?code=zzz",
            "automation": "/automations/of/release-order/",
            "automation-branches": "/automations/of/welcome-customer/",
            "automation-older": "/automations/of/welcome-customer/?version=1",
            "automation-draft": "/automations/of/chase-invoice/",
            "automation-new": "/automations/new/",
            "automation-edit": "/automations/of/chase-invoice/edit/",
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
            "admin-budget-open": "/admin/interventions/budget/open/",
            "admin-budget-allocate": "/admin/interventions/budget/1/allocate/",
            "admin-batches": "/admin/interventions/interventionbatch/",
            "admin-batch-items": "/admin/interventions/batchitem/",
            "admin-transfers": "/admin/interventions/budgettransfer/",
            "audit": "/audit/",
            "workers": "/workers/",
            "workflow-runs": "/workers/runs/",
            "engine-commands": "/workers/commands/",
            "schedules": "/schedules/",
            "schedule": "/schedules/reconcile-interventions/",
            "audit-refused": "/audit/?outcome=refused",
            "admin-webhook-new": "/admin/notifications/webhookendpoint/put/",
            "admin-mails": "/admin/notifications/mail/",
            "admin-mail": f"/admin/notifications/mail/{_mail(site)}/change/",
            "admin-commands": "/admin/engine/enginecommand/",
            "admin-user": "/admin/accounts/user/1/change/",
            "admin-history": "/admin/accounts/user/1/history/",
            "admin-role-new": "/admin/auth/group/add/",
            "admin-role-rule": "/admin/accounts/rolerule/put/",
        },
    }


def _wallets(site: Site) -> dict[str, str]:
    """Pages of wallets, with an adjustment that waits and a journal."""
    key = site.stack.api_key("agent")
    body = {
        "userId": "demo-rider",
        "amount": "-1500.00",
        "reason": "A ride was paid in cash.\nThe driver has the receipt.",
    }
    status, answer = site.call("POST", "/wallet-adjustments", body, key)
    assert status == 201, answer
    opening = "demo:demo-rider:opening"
    found = site.call("GET", f"/search?q={opening}", None, key)[1]["items"]
    (journal,) = (one["url"] for one in found if one["key"] == opening)
    return {
        "wallets": "/wallets/",
        "wallets-empty": "/wallets/?status=frozen",
        "wallet": "/wallets/demo-rider/",
        "wallet-empty": "/wallets/thandi/",
        "topups": "/top-ups/",
        "topup-new": "/top-ups/new/?wallet=demo-rider",
        "ledger": "/ledger/",
        "journal": str(journal),
        "adjustments": "/ledger/adjustments/",
        "adjustment": f"/ledger/adjustments/{answer['id']}/",
        "adjustment-new": "/ledger/adjustments/new/?wallet=demo-rider",
    }


def _bookings(site: Site) -> dict[str, str]:
    """Pages of bookings: one that stands and one that was too dear."""
    key = site.stack.api_key("agent")
    trips = site.call("GET", "/trips?bus=demo-bus")[1]["items"]
    trip, empty = trips[0]["id"], trips[-1]["id"]
    found = []
    for rider in ("demo-rider", "nobody"):
        body = {"userId": rider, "busId": "demo-bus", "segment": "A-B", "fare": 1500}
        status, answer = site.call("POST", "/bookings", body, key)
        assert status == 201, answer
        address = f"/bookings/{answer['workflowId']}/status"
        eventually(lambda at=address: site.call("GET", at, None, key)[1]["status"] != "RUNNING", 20)
        rows = site.call("GET", f"/bookings?userId={rider}", None, key)[1]["items"]
        found += [row["bookingId"] for row in rows if row["workflowId"] == answer["workflowId"]]
    return {
        "bookings": "/bookings/",
        "bookings-empty": "/bookings/?status=cancelled",
        "booking-confirmed": f"/bookings/{found[0]}/",
        "booking-failed": f"/bookings/{found[1]}/",
        "booking-new": "/bookings/new/",
        "booking-of-trip": f"/bookings/new/?trip={trip}&stretch=B-C&seat=2",
        "trip-on-sale": f"/trips/{trip}/",
        "manifest": f"/trips/{trip}/manifest/",
        "manifest-empty": f"/trips/{empty}/manifest/",
        "refund-new": f"/refunds/new/?booking={found[0]}",
        "refunds": "/refunds/",
        "trip-cancellations": "/trip-cancellations/",
    }


def _executions(site: Site) -> dict[str, str]:
    """Pages of executions in every state; the graph of one has sixty nodes."""
    page, found = site.sign_in("editor"), {}
    for code, document, params in EXECUTED:
        site.automate(code, document)
        found[code] = site.run(page, code, params)
    for execution in found.values():
        site.execution_is(execution, "waiting", "failed")
    page.context.close()
    at = f"/executions/{found['looks-waits']}/"
    return {
        "executions": "/executions/",
        "executions-empty": "/executions/?error=zzz",
        "execution-waits": at,
        "execution-waits-nodes": f"{at}?show=completed",
        "execution-node": f"{at}nodes/1/",
        "execution-node-signs": f"{at}nodes/2/",
        "execution-failed": f"/executions/{found['looks-fails']}/",
        "execution-node-failed": f"/executions/{found['looks-fails']}/nodes/2/",
        "execution-large": f"/executions/{found['looks-large']}/",
        "automation-run": "/automations/of/looks-waits/run/",
        "automation-ran": "/automations/of/looks-waits/",
    }


def _mail(site: Site) -> int:
    """The id of an e-mail with two files to somebody without a login."""
    digest, name = "0123456789abcdef" * 4, "Recibo da Conceição – Ẹ̀kọ́ 2026-000123.pdf"
    ((number,),) = site.stack.sql(
        "INSERT INTO notifications_mail (key, address, name, title, text, kind, url, state, lease,"
        " language, subject_type, subject_id, attempts, next_try_at, error, created_at)"
        " VALUES ('receipt', 'conceicao.de.albuquerque.e.vasconcelos@transportes.example.org',"
        " 'Conceição de Albuquerque',"
        " 'Your receipt for NGN 12,500.00', 'Thank you.', '', '', 'failed', '', '', 'wallet',"
        " 'w-1', 1, now(), '550 No such person', now()) RETURNING id"
    )
    site.stack.sql(
        "INSERT INTO notifications_mailcontent VALUES (%s, 14, 'a', now()) RETURNING 1", digest
    )
    site.stack.sql(
        "INSERT INTO notifications_mailattachment (mail_id, number, name, content_type, size,"
        " content_id) SELECT %s, n, n || %s, 'application/pdf', 14000, %s"
        " FROM generate_series(1, 2) n RETURNING 1",
        *(number, name, digest),
    )
    return int(number)


def _transfer(site: Site) -> str:
    """A transfer that waits, and its id."""
    body = {
        "source": "education-2026",
        "destination": "relief-north-2026",
        "amount": "1500.00",
        "reason": "The second flood.\nTwo grants were not called on.",
    }
    status, answer = site.call("POST", "/budgets/transfers", body)
    assert status == 201, answer
    return str(answer["id"])


def _trip(site: Site) -> str:
    """The id of a trip of the demo."""
    status, answer = site.call("GET", "/trips?bus=demo-bus")
    assert status == 200, answer
    return str(answer["items"][0]["id"])


def _batch(site: Site) -> tuple[str, str]:
    """A batch that waits for its signature, some of it not sound, and its request."""
    items: list[dict[str, Any]] = [
        {
            "amount": f"{1000 + number}.00",
            "target": f"Household {number}, Makoko",
            "justification": "Cash for food in the months before the harvest.",
        }
        for number in range(1, 61)
    ]
    items += [{**items[0], "amount": "a lot"}, {**items[0], "target": ""}]
    body = {
        "policy": "demo-relief",
        "budget": "demo-2026",
        "currency": "NGN",
        "title": "Lean season, June",
        "items": items,
    }
    status, answer = site.call("POST", "/intervention-batches", body)
    assert status == 201, answer
    address = f"/intervention-batches/{answer['id']}"
    approval = eventually(lambda: site.call("GET", address)[1].get("approval"), 15)
    return str(answer["id"]), str(approval)


def _busy(site: Site, waiting: dict[str, Any], key: str) -> str:
    """What people leave on a request while they work; the id of a bulk decision that has ended."""

    def said(path: str, body: Any, by: str = key) -> dict[str, Any]:
        status, answer = site.call("POST", f"/approvals/{path}", body, by)
        assert status < 300, answer
        return answer

    at = waiting["id"]
    said(f"{at}/comments", {"text": "The clinic says the rains begin on Friday. @requester?"})
    said(f"{at}/comments", {"text": "They do; the roofer is booked for Thursday."}, site.key)
    files = {"file": ("quote.csv", b"item,price\nroof,620000.00\n", "text/csv")}
    answer = requests.post(
        f"{site.stack.web_url}/api/v1/approvals/{at}/evidence",
        files=files,
        data={"note": "The roofer's quote"},
        headers={"X-API-Key": site.key},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text
    said(f"{at}/claim", {})
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    said("delegations", {"username": "reviewer2", "ends_at": until, "reason": "Annual leave"})
    some = [site.asked(f"Clinic {n}, Ikorodu road", "26000.00") for n in range(3)]
    # One of them is refused in the bulk: what was read is not what stands there.
    items = [
        {"id": one["id"], "payload_hash": "0" * 64 if n == 0 else one["payload_hash"]}
        for n, one in enumerate(some)
    ]
    body = {"verdict": "approve", "reason": "Small repairs, all agreed.", "items": items}
    bulk = str(said("bulk-decide", body)["id"])
    eventually(
        lambda: (
            site.call("GET", f"/approvals/bulk-decisions/{bulk}", None, key)[1]["status"]
            == "completed"
        ),
        20,
    )
    return bulk


def in_theme(page: "Page", theme: Theme) -> None:
    """At once: a color on its way to another is none that anybody reads."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")


def picture(page: "Page", name: str, *, whole: bool = True) -> None:
    """Draw the page, down to its end: only then every element has the colors of its theme."""
    drawn = page.screenshot(full_page=whole)
    if SCREENSHOTS:
        Path(SCREENSHOTS).mkdir(exist_ok=True, parents=True)
        (Path(SCREENSHOTS) / f"{name}.png").write_bytes(drawn)


def looks(name: str) -> dict[int, tuple[Theme, ...]]:
    """The widths at which to look at that page, each with its themes."""
    if EVERY_LOOK:
        return dict.fromkeys(WIDTHS, THEMES)
    chosen = crc32(name.encode())
    return {WIDTHS[chosen % 2]: (THEMES[chosen // 2 % 2],)}


def shots(width: int) -> tuple[Theme, ...]:
    """The themes of a page that its test looks at by itself in a window of that width: one each
    shows every color and every place."""
    if EVERY_LOOK:
        return THEMES
    return ("light",) if width == DESKTOP else ("dark",)


def problems(page: "Page", *, colors_only: bool = False, around: bool = True) -> list[str]:
    """What axe finds, by rule, with the first places; `around`: also in what surrounds every
    page."""
    # By the debugger's door: the content security policy lets no script in, nor should it.
    page.evaluate(AXE)
    rules = {**RULES, "runOnly": ["color-contrast"]} if colors_only else RULES
    left_out = [] if EVERY_LOOK else ALIKE + ([] if around else AROUND)
    found: dict[str, Any] = page.evaluate(
        "([left, rules]) => axe.run(left.length ? {exclude: left} : document, rules)",
        [[[one] for one in left_out], rules],
    )
    return [
        f"{one['id']} ({one['impact']}): " + "; ".join(n["html"][:160] for n in one["nodes"][:3])
        for one in found["violations"]
    ]


# Each wait has a limit of its own; as a whole it takes as long as the machine lets a browser take,
# which is many times longer while others use it.
@pytest.mark.timeout(1200 if EVERY_LOOK else 600)
@pytest.mark.parametrize(
    "round_", ["reviewer", "reviewer of money", "requester", "agent", "editor", "admin", ""]
)
def test_every_page_is_accessible_fits_and_is_not_blocked(
    round_: str, site: Site, places: dict[str, dict[str, str]]
) -> None:
    page = site.sign_in(round_.partition(" ")[0])
    assert look_over(page, places[round_]) == {}


def look_over(page: "Page", pages: dict[str, str]) -> dict[str, list[str]]:
    """Open each of these addresses in each of its looks; what is wrong, by page and look."""
    found: dict[str, list[str]] = {}
    seen: set[tuple[int, Theme]] = set()
    for name, address in pages.items():
        for width, themes in looks(name).items():
            page.set_viewport_size({"width": width, "height": 900})
            # Once for each width: what a page sets up by its width, it sets up while it loads. In
            # its first theme from the start: then no color is on its way to another.
            in_theme(page, themes[0])
            answer = page.goto(address)
            if answer is None or answer.status >= 500:
                found[name] = [f"the server failed: {answer and answer.status}"]
                break
            if page.locator("[data-live-indicator]").count():
                be_live(page)
            for theme in themes:
                in_theme(page, theme)
                shot = f"{name}-{width}-{theme}"
                if theme != themes[0] or SCREENSHOTS:
                    picture(page, shot)
                around = (width, theme) not in seen
                seen.add((width, theme))
                if wrong := _wrong(page, name, colors_only=theme != themes[0], around=around):
                    found[shot] = wrong
        for width in sorted({*WIDTHS, NARROWEST} - set(looks(name)), reverse=True):
            page.set_viewport_size({"width": width, "height": 900})
            if not _fits(page):
                found[f"{name}-{width}"] = [TOO_WIDE, *_outside(page)]
    return found


def looked_at(page: "Page", name: str) -> dict[str, list[str]]:
    """What is wrong with the page as it stands, by look."""
    found: dict[str, list[str]] = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        themes = looks(name).get(width, ())
        for theme in themes:
            in_theme(page, theme)
            picture(page, f"{name}-{width}-{theme}")
            if wrong := _wrong(page, name, colors_only=theme != themes[0]):
                found[f"{name}-{width}-{theme}"] = wrong
        if not _fits(page):
            found[f"{name}-{width}"] = [TOO_WIDE]
    return found


def test_every_look_is_somewhere(places: dict[str, dict[str, str]]) -> None:
    names = [name for pages in places.values() for name in pages]
    seen = {(width, theme) for n in names for width, themes in looks(n).items() for theme in themes}
    assert seen == {(width, theme) for width in WIDTHS for theme in THEMES}


def _wrong(page: "Page", name: str, *, colors_only: bool = False, around: bool = True) -> list[str]:
    """What a person who has to use the page would be hindered by."""
    wrong = problems(page, colors_only=colors_only, around=around)
    if name.startswith("admin"):
        wrong = [one for one in wrong if one.partition(" ")[0] not in ADMIN_FORGIVEN]
    return wrong if _fits(page) else [*wrong, TOO_WIDE]


def _fits(page: "Page") -> bool:
    """Whether nothing stands out of the window, once the page has taken the window's width, and in
    a wide one no column of an admin list out of its place."""
    from playwright.sync_api import TimeoutError as TooLate

    size = page.viewport_size
    assert size is not None
    fits = """width => innerWidth === width && document.documentElement.scrollWidth <= width
        && (width < 1280 || [...document.querySelectorAll("#changelist .results")]
            .every(box => box.scrollWidth <= box.clientWidth))"""
    try:
        page.wait_for_function(fits, arg=size["width"], timeout=patient(5) * 1000)
    except TooLate:
        return False
    return True


def _outside(page: "Page") -> list[str]:
    """What ends to the right of the window, for the report."""
    found: list[str] = page.evaluate("""() => [...document.querySelectorAll("body *")]
        .filter((one) => one.checkVisibility())
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.outerHTML.slice(0, 200))""")
    return found[-5:]


def test_the_confirmation_and_the_menus_are_accessible_too(
    site: Site, places: dict[str, dict[str, str]]
) -> None:
    page = site.sign_in("reviewer", theme="dark", width=PHONE)
    page.goto("/")
    page.locator("#me summary").click()
    picture(page, "menu", whole=False)
    assert problems(page) == []
    page.keyboard.press("Escape")
    page.locator("[data-keys-open]").click()
    picture(page, "keys", whole=False)
    assert problems(page) == []
    page.keyboard.press("Escape")
    # Of a kind that has grounds.
    page.goto("/inbox/?mine=on&kind=intervention")
    page.locator("input[name=ids]").first.check()
    page.get_by_role("button", name="Decide what is ticked").click()
    page.locator("#bulk-lines").wait_for()
    page.get_by_label("Reject", exact=True).check()
    page.get_by_label("Grounds to reject").wait_for()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert _fits(page)
        if width in looks("bulk-preview"):
            picture(page, f"bulk-preview-{width}")
            assert _wrong(page, "bulk-preview") == []
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.goto("/admin/approvals/approvalrequest/?status__exact=open")
    page.locator("input.action-select").first.check()
    page.select_option("select[name=action]", "approve")
    page.get_by_role("button", name="Go").click()
    page.get_by_role("button", name="Approve and sign").wait_for()
    picture(page, "confirm")
    wrong = [one for one in problems(page) if one.partition(" ")[0] not in ADMIN_FORGIVEN]
    assert wrong == []


def test_at_360_pixels_nothing_is_cut_off(site: Site, places: dict[str, dict[str, str]]) -> None:
    """Pages that load in a window of that width; the rounds above make the window narrow."""
    page = site.sign_in("reviewer", width=NARROWEST)
    pages = places["reviewer"] | places["reviewer of money"]
    for name, address in pages.items() if EVERY_LOOK else [("home", "/")]:
        page.goto(address)
        assert _fits(page), (name, _outside(page))
        # The figures beside a chart take room from the times below it.
        page.evaluate("""() => document.querySelectorAll(".plot-values span")
            .forEach((one) => { one.textContent = "10,000" })""")
        assert _fits(page), (name, _outside(page))


@pytest.mark.parametrize("name", ["400", "403_csrf", "500", "503"])
def test_pages_of_failures_are_accessible_and_fit(name: str, site: Site) -> None:
    """They are drawn without a request, as the site draws them when it fails."""
    page = site.sign_in("")
    html = get_template(f"{name}.html").render()
    kind = "text/html; charset=utf-8"
    page.route("**/failed/", lambda route: route.fulfill(body=html, content_type=kind))
    page.goto("/failed/")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in looks(f"failed-{name}").get(width, ()):
            in_theme(page, theme)
            picture(page, f"failed-{name}-{width}-{theme}")
            assert _wrong(page, name) == []
        assert _fits(page), _outside(page)


def test_deleting_in_the_admin_is_asked_about_with_a_way_back(site: Site) -> None:
    page = site.sign_in("admin", theme="dark", width=PHONE, scripts=False)
    page.goto("/admin/auth/group/add/")
    page.get_by_role("textbox", name="Name").fill("field visitors")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="field visitors").first.click()
    page.get_by_role("link", name="Delete").click()
    picture(page, "admin-delete")
    page.get_by_role("link", name="Back, change nothing").click()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("was deleted successfully").wait_for()


def test_signing_in_with_a_second_factor_is_accessible_from_the_setup_to_the_code(
    site: Site,
) -> None:
    found: dict[str, list[str]] = {}
    page = site.sign_in("")

    def look(name: str) -> None:
        found.update(looked_at(page, name))

    def password() -> None:
        page.goto("/login/?next=/account/security/")
        page.get_by_label("User name").fill("auditor")
        page.get_by_label("Password").fill("demo")
        page.keyboard.press("Enter")

    page.goto("/login/")
    page.get_by_label("User name").fill("auditor")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    look("login-wrong")
    password()
    page.get_by_role("link", name="Set it up").click()
    secret = (page.locator(".secret").text_content() or "").replace(" ", "")
    page.get_by_label("Code", exact=True).fill("000000")
    page.keyboard.press("Enter")
    page.locator(".errorlist").wait_for()
    look("setup")
    page.get_by_label("Code", exact=True).fill(code_of(secret))
    page.keyboard.press("Enter")
    page.get_by_role("link", name="I have saved them, continue").wait_for()
    look("recovery-codes")
    page.get_by_role("link", name="I have saved them, continue").click()
    page.get_by_role("link", name="Remove…").wait_for()
    look("security-on")
    page.get_by_role("link", name="Remove…").click()
    page.get_by_role("button", name="Remove it").wait_for()
    look("setup-remove")
    page.context.clear_cookies()
    password()
    page.get_by_label("Code", exact=True).wait_for()
    look("code")
    page.get_by_label("Code", exact=True).fill(code_of(secret, ahead=1))
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Security").wait_for()
    page.goto("/account/security/app/remove/")
    page.get_by_role("button", name="Remove it").click()
    page.get_by_role("link", name="Set it up").wait_for()
    assert found == {}
