"""Automations and definitions over the API."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.automations.models import AutomationVersion
from tests.automations.drawing import call, condition, graph, short
from tests.bookings.conftest import caller_of

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/automations"
VALIDATE = "/api/v1/workflow/validate/"


@pytest.fixture
def editor(people: dict[str, User]) -> Client:
    return caller_of(people["editor"])


def send(caller: Client, method: str, url: str, body: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return caller.generic(method, url, content, content_type="application/json")


def made(caller: Client, code: str = "orders", definition: Any = None) -> Any:
    body = {"code": code, "title": "Orders", "definition": definition or graph("a>b")}
    return send(caller, "POST", URL, body)


def test_one_is_made_read_continued_and_switched_off(editor: Client) -> None:
    answer = made(editor)
    assert (answer.status_code, answer.json()["valid"]) == (201, 1)
    assert made(editor).status_code == 200
    assert made(editor, definition=graph("z")).json()["code"] == "automation_code_taken"
    draft = {"definition": graph("a>a"), "version": 1}
    second = send(editor, "POST", f"{URL}/orders/versions", draft)
    assert second.status_code == 201
    told = second.json()
    assert (told["number"], told["valid"], told["issues"][0]["code"]) == (2, False, "self_edge")
    assert told["definition"] == graph("a>a")
    assert send(editor, "POST", f"{URL}/orders/versions", draft).status_code == 200
    late = send(editor, "POST", f"{URL}/orders/versions", {"definition": graph("x"), "version": 1})
    assert (late.status_code, late.json()["code"], late.json()["version"]) == (
        409,
        "version_outdated",
        2,
    )
    found = editor.get(f"{URL}/orders").json()
    assert (found["newest"], found["valid"], found["enabled"]) == (2, 1, True)
    off = send(editor, "PATCH", f"{URL}/orders", {"enabled": False, "reason": "Wrong prices."})
    assert (off.status_code, off.json()["enabled"]) == (200, False)
    page = editor.get(f"{URL}/orders/versions?limit=1").json()
    assert ([one["number"] for one in page["items"]], page["next"]) == ([2], "2")
    rest = editor.get(f"{URL}/orders/versions?limit=1&cursor=2").json()
    assert ([one["number"] for one in rest["items"]], rest["next"]) == ([1], None)
    assert editor.get(f"{URL}/orders/versions/1").json()["definition"] == graph("a>b")
    assert [one["code"] for one in editor.get(f"{URL}?enabled=false").json()["items"]] == ["orders"]
    assert editor.get(f"{URL}?enabled=true").json()["items"] == []


def test_a_definition_is_validated_and_nothing_is_stored(editor: Client) -> None:
    good = send(editor, "POST", VALIDATE, graph("a>b", a=condition("true")))
    assert good.json() == {"valid": True, "issues": []}
    assert send(editor, "POST", VALIDATE[:-1], graph("a")).json()["valid"]
    bad = send(editor, "POST", VALIDATE, graph("a>b b>a", a=call(colour="red"))).json()
    assert not bad["valid"]
    assert [(one["code"], one["node"], one["edge"], one["path"]) for one in bad["issues"]] == [
        ("unknown_key", "a", None, "/nodes/0/data/colour"),
        ("cycle", None, "e1", "/edges/1"),
    ]
    for odd in ([], "x", 7, None, True):
        answer = send(editor, "POST", VALIDATE, odd)
        assert (answer.status_code, answer.json()["issues"][0]["code"]) == (200, "wrong_type"), odd
    assert not AutomationVersion.objects.exists()


def test_the_schema_is_that_of_a_definition(editor: Client) -> None:
    schema = editor.get(f"{URL}/schema").json()
    assert {"nodes", "edges", "name"} <= set(schema["properties"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b'{"a": NaN}', 400, "malformed_json"),
        (b'{"a": 1, "a": 2}', 400, "malformed_json"),
        (b'{"name": "\\u0000"}', 422, "invalid_text"),
        (b"[" * 100_000, 400, "malformed_json"),
    ],
    ids=short,
)
def test_what_is_no_json_is_refused(editor: Client, body: bytes, status: int, code: str) -> None:
    answer = send(editor, "POST", VALIDATE, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_hostile_definitions_are_answered_in_a_moment(editor: Client) -> None:
    many = {"name": "x", "nodes": [{"id": f"n{i}"} for i in range(10_000)]}
    assert send(editor, "POST", VALIDATE, many).json()["issues"][0]["code"] == "too_large"
    long = graph("a", a=condition("x" * 1_000_000))
    assert send(editor, "POST", VALIDATE, long).json()["issues"][0]["code"] == (
        "expression_not_allowed"
    )
    assert send(editor, "POST", VALIDATE, graph("a", a=call("x" * 3_000_000))).status_code == 413
    odd = made(editor, code="x" * 10_000)
    assert (odd.status_code, odd.json()["code"]) == (422, "code_invalid")


def test_who_may_what(people: dict[str, User]) -> None:
    editor, auditor = caller_of(people["editor"]), caller_of(people["auditor"])
    requester = caller_of(people["requester"])
    made(editor)
    assert auditor.get(f"{URL}/orders").status_code == 200
    for caller in (auditor, requester):
        answer = made(caller, code="mine")
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    for url in (URL, f"{URL}/orders", f"{URL}/orders/versions", f"{URL}/orders/versions/1"):
        assert requester.get(url).status_code == 403
    for url in (f"{URL}/none", f"{URL}/none/versions", f"{URL}/orders/versions/{2**40}"):
        assert editor.get(url).status_code == 404
    assert Client().get(URL).status_code == 401
