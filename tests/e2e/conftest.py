"""A real browser in front of real processes: people with pages of their own, and the API beside."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import running_stack
from tests.directory import SimulatedDirectory
from tests.stack import Stack
from tests.support import eventually, patient

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

DESKTOP, PHONE = 1280, 390
#: A page has no more places than this before what a test wants.
MOST_TABS = 120


@dataclass
class Site:
    """The site as people and programs reach it."""

    stack: Stack
    browser: "Browser"
    key: str
    cookies: dict[str, Any] = field(default_factory=dict)
    contexts: list["BrowserContext"] = field(default_factory=list)
    #: What the browser complained about, e.g. what the content security policy blocked.
    complaints: list[str] = field(default_factory=list)

    # --- people ---------------------------------------------------------------------------------
    def sign_in(
        self,
        name: str,
        *,
        theme: str = "light",
        width: int = DESKTOP,
        sockets: bool = True,
        scripts: bool = True,
    ) -> "Page":
        """A page of the person's own browser; `name` empty: nobody is signed in."""
        context = self.browser.new_context(
            base_url=self.stack.web_url,
            viewport={"width": width, "height": 900},
            color_scheme=theme,  # type: ignore[arg-type]
            java_script_enabled=scripts,
            storage_state=self._session(name) if name else None,
        )
        self.contexts.append(context)
        if not sockets:
            context.route_web_socket("**/ws/live**", lambda socket: socket.close(code=1013))
        page = context.new_page()
        page.set_default_timeout(patient(10) * 1000)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._heard(page, message))
        return page

    def _session(self, name: str) -> Any:
        if name not in self.cookies:
            context = self.browser.new_context(base_url=self.stack.web_url)
            page = context.new_page()
            page.goto("/login/")
            page.fill("input[name=username]", name)
            page.fill("input[name=password]", "demo")
            page.click("button[type=submit]")
            page.wait_for_url(self.stack.web_url + "/")
            self.cookies[name] = context.storage_state()
            context.close()
        return self.cookies[name]

    def _heard(self, page: "Page", message: Any) -> None:
        # A page that answers 4xx, and a socket that a test blocks, are told as errors too.
        expected = ("Failed to load resource", "WebSocket connection")
        if message.type == "error" and not message.text.startswith(expected):
            self.complaints.append(f"{page.url}: {message.text}")

    # --- programs ---------------------------------------------------------------------------------
    def call(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """Status and JSON of an API call by the requester, or by whose key is given."""
        call = urllib.request.Request(
            f"{self.stack.web_url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": key or self.key, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(call, timeout=patient(10)) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def ask(self, target: str, amount: str = "25000.00") -> dict[str, Any]:
        """Ask for an intervention on the demo's policy and budget."""
        status, answer = self.call(
            "POST",
            "/interventions",
            {
                "policy": "demo-relief",
                "budget": "demo-2026",
                "amount": amount,
                "currency": "NGN",
                "target": target,
                "justification": "Roof lost in the storm; the clinic must open on Monday.",
            },
        )
        assert status == 201, answer
        return dict(answer)

    def asked(self, target: str, amount: str = "25000.00") -> dict[str, Any]:
        """As `ask`; the open request for its signature, as soon as there is one."""
        made = self.ask(target, amount)
        return self.request_of(made["id"])

    def request_of(self, intervention_id: str) -> dict[str, Any]:
        """The request for the intervention's signature, once it is open."""
        approval = eventually(
            lambda: self.call("GET", f"/interventions/{intervention_id}")[1].get("approval"), 15
        )
        return {**self.call("GET", f"/approvals/{approval}")[1], "intervention": intervention_id}

    def automate(self, code: str, document: dict[str, Any]) -> None:
        """Write an automation as the editor."""
        body = {"code": code, "title": document["name"], "definition": document}
        status, answer = self.call("POST", "/automations", body, self.stack.api_key("editor"))
        assert status == 201, answer

    def run(self, page: "Page", code: str, params: dict[str, Any]) -> str:
        """Run the automation by the form on its page; the id of the execution, which is shown
        then."""
        page.goto(f"/automations/of/{code}/")
        page.get_by_label("What it is given").fill(json.dumps(params))
        page.get_by_role("button", name="Run it").click()
        page.wait_for_url("**/executions/**")
        return page.url.rstrip("/").rpartition("/")[2]

    def execution_is(self, execution: str, *statuses: str) -> str:
        """Wait until the execution has one of these statuses, and return it."""

        def look() -> str:
            query = "SELECT status FROM automations_execution WHERE id = %s"
            ((status,),) = self.stack.sql(query, execution)
            return str(status) if status in statuses else ""

        return eventually(look, 30) or ""

    def ends_as(self, intervention_id: str, status: str) -> dict[str, Any]:
        """The intervention, when it has that status."""

        def look() -> dict[str, Any] | None:
            found = self.call("GET", f"/interventions/{intervention_id}")[1]
            return found if found["status"] == status else None

        return eventually(look, 20) or {}


@pytest.fixture(scope="package")
def stack(cluster_template: Path) -> Iterator[Stack]:
    """One for all modules of this folder: it takes longer to start than most of their tests."""
    # What strangers do is read as often as the directory lets anybody: no test waits a minute.
    with running_stack(cluster_template, {"DIRECTORY_POLL_SECONDS": "8"}) as one:
        yield one


@pytest.fixture(scope="package")
def directory(stack: Stack) -> Iterator[SimulatedDirectory]:
    """The stack's simulated directory of Pix keys, behind the bridge."""
    one = SimulatedDirectory(f"127.0.0.1:{stack.ports['BRIDGE_PORT']}")
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared_site(stack: Stack, chromium: "Browser") -> Site:
    """The module's site with the requester's API key, whole again if a test before broke it."""
    for name, process in stack.apps.items():
        if not process.alive:
            stack.restart(name)
    stack.wait_ready()
    key = stack.api_key("requester")
    return Site(stack=stack, browser=chromium, key=key)


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The site; browsers of the test are closed after it, and must not have complained."""
    shared_site.complaints.clear()
    yield shared_site
    for context in shared_site.contexts:
        context.close()
    shared_site.contexts.clear()
    assert shared_site.complaints == []


def be_live(page: "Page") -> None:
    """Return when the page's socket is subscribed."""
    page.locator("[data-live-indicator][data-live-state=live]").wait_for(state="visible")


def stay(page: "Page") -> Callable[[], bool]:
    """Call what it returns later: true when the page was not navigated meanwhile."""
    mark = str(time.monotonic())
    page.evaluate("mark => { window.stayed = mark }", mark)
    return lambda: page.evaluate("() => window.stayed") == mark


def tab_to(page: "Page", wanted: "Locator") -> None:
    """Go there as somebody does who has only a keyboard."""
    wanted.wait_for(state="visible")
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"no Tab leads to {wanted}")
