"""Pages of automations as they are served: the list, one with its issues by line, the editor."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.automations import texts
from apps.automations.models import Automation
from apps.automations.services.definitions import automation_create, laid_out
from apps.automations.services.demo import DRAFT, automations_seed
from apps.common.errors import Invalid
from tests.automations.drawing import graph, node, short

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "/automations/of/orders/"


@pytest.fixture
def client(people: dict[str, User], client: Client) -> Client:
    client.force_login(people["editor"])
    return client


def written(people: dict[str, User], document: Any, code: str = "orders") -> Automation:
    return automation_create(
        code=code,
        title="Orders",
        document=document,
        by=people["editor"],
        via="page",
        as_of=timezone.now(),
    )[0]


def test_the_list_shows_state_and_version(client: Client, people: dict[str, User]) -> None:
    list(automations_seed(people=people))
    shown = client.get("/automations/").content.decode()
    assert shown.index("Chase an unpaid invoice") < shown.index("Release a large order")
    assert "switched on" in shown
    assert "draft" in shown
    found = client.get("/automations/?code=release").content.decode()
    assert "Welcome a new customer" not in found


def test_a_page_shows_graph_issues_by_line_and_versions(
    client: Client, people: dict[str, User]
) -> None:
    written(people, DRAFT)
    shown = client.get(HERE).content.decode()
    lines = laid_out(DRAFT).split("\n")
    for one in texts.read(laid_out(DRAFT)).marked:
        assert f'href="#L{one.line}"' in shown
    yes = next(n for n, line in enumerate(lines, 1) if '"label": "yes"' in line)
    assert f'href="#L{yes}"' in shown
    assert shown.count("is-wrong") == 2 * 2
    assert "<svg" in shown
    assert "It has" in shown and "cannot run" in shown
    assert client.get(f"{HERE}live/").status_code == 200
    assert client.get(f"{HERE}?version=7").status_code == 200


def test_a_definition_is_checked_then_written(client: Client, people: dict[str, User]) -> None:
    bad = json.dumps(graph("a>b b>a"), indent=2)
    form = {"code": "orders", "title": "Orders", "runner": "engine", "text": bad}
    checked = client.post("/automations/new/", {**form, "check": "1"})
    assert checked.status_code == 200
    assert "The nodes wait for each other: a → b → a" in checked.content.decode() or (
        "The nodes wait for each other: b → a → b" in checked.content.decode()
    )
    assert not Automation.objects.exists()
    sent = client.post("/automations/new/", {**form, "text": json.dumps(graph("a>b")), "send": "1"})
    assert (sent.status_code, sent["Location"]) == (302, HERE)
    edit = client.get(f"{HERE}edit/").content.decode()
    assert '"source": "a"'.replace('"', "&quot;") in edit
    more = {"text": bad, "version": "1", "send": "1"}
    assert client.post(f"{HERE}edit/", more).status_code == 302
    late = client.post(f"{HERE}edit/", {**more, "text": json.dumps(graph("z"))})
    assert late.status_code == 409
    assert "version 2" in late.content.decode()
    assert Automation.objects.get().newest == 2


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{\n  "a": 1,\n  "b": }', 3, ""),
        ('{\n  "a": 1\n  "b": 2}', 2, ""),
        ('{"a": "\\u0000"}', 1, "cannot be stored"),
        ('{"a": NaN}', 1, ""),
        ("[" * 300, 1, ""),
    ],
    ids=short,
)
def test_what_is_no_json_names_its_line_and_is_not_kept(
    client: Client, text: str, line: int, words: str
) -> None:
    form = {"code": "orders", "title": "Orders", "runner": "engine", "text": text}
    checked = client.post("/automations/new/", {**form, "check": "1"})
    assert checked.status_code == 200
    assert f'data-line="{line}"' in checked.content.decode()
    assert words in checked.content.decode()
    refused = client.post("/automations/new/", {**form, "send": "1"})
    assert refused.status_code == 422
    assert not Automation.objects.exists()


def test_it_is_switched_off_with_a_reason(client: Client, people: dict[str, User]) -> None:
    written(people, graph("a"))
    assert client.post(f"{HERE}switch-off/", {"reason": ""}).status_code == 302
    assert Automation.objects.get().enabled
    client.post(f"{HERE}switch-off/", {"reason": "Prices are wrong."})
    assert not Automation.objects.get().enabled
    assert AuditEntry.objects.get(action="automation.changed").body["reason"] == "Prices are wrong."
    client.post(f"{HERE}switch-on/", {"reason": "Right again."})
    assert Automation.objects.get().enabled


def test_who_may_not_write_sees_no_form(people: dict[str, User], client: Client) -> None:
    written(people, graph("a"))
    client.force_login(people["operator"])
    shown = client.get(HERE).content.decode()
    assert "Write a version" not in shown
    assert "Switch off" not in shown
    for url in ("/automations/new/", f"{HERE}edit/", f"{HERE}switch-off/"):
        assert client.post(url, {"reason": "x"}).status_code == 403
    client.force_login(people["requester"])
    assert client.get("/automations/").status_code == 403
    assert client.get(f"{HERE}live/").status_code == 404
    assert client.get("/automations/of/none/").status_code in (403, 404)


@pytest.mark.parametrize("depth", [150, *range(192, 202)])
def test_a_definition_nested_as_deep_as_json_may_be_has_a_page(
    client: Client, people: dict[str, User], depth: int
) -> None:
    # A program may write what the editor can no longer read.
    nested = json.loads("[" * depth + "]" * depth)
    definition = graph("a", a=node("webhook", url="https://example.com", payload=nested, x=1))
    try:
        written(people, definition)
    except Invalid as refused:
        assert (refused.code, depth > 195) == ("definition_too_large", True)
        return
    assert client.get(HERE).status_code == 200
    assert client.get(f"{HERE}edit/").status_code == 200


def test_a_graph_too_large_to_draw_shows_its_layers(
    client: Client, people: dict[str, User]
) -> None:
    written(people, graph(" ".join(f"n{i}>m{i}" for i in range(200))))
    shown = client.get(HERE).content.decode()
    assert "Too many nodes to draw" in shown
    assert "<rect" not in shown.split("automation-drawing")[1].split("</section>")[0]
