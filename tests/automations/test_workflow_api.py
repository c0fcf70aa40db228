"""Executions over the API."""

import json
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.automations.models import Execution
from apps.automations.services.definitions import automation_create
from apps.engine.models import EngineCommand
from tests.automations.drawing import approval, condition, delay, failing, graph, short, transform
from tests.automations.runs import carried, said
from tests.bookings.conftest import caller_of

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/workflow"


@pytest.fixture
def editor(people: dict[str, User]) -> Client:
    return caller_of(people["editor"])


def post(caller: Client, path: str, body: Any = None, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
    return caller.post(f"{URL}/{path}", content, content_type="application/json", headers=headers)


def get(caller: Client, path: str) -> Any:
    return caller.get(f"{URL}/{path}")


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_definition_is_executed_followed_and_read(editor: Client, slash: str) -> None:
    drawn = graph(
        "a.b>c c>d:true", **{"a.b": transform(x="params.x")}, c=condition("inputs.x == 1")
    )
    body = {**drawn, "params": {"x": 1}}
    answer = post(editor, f"execute{slash}", body, **{"Idempotency-Key": "k"})
    assert answer.status_code == 202
    told = answer.json()
    assert told == {**told, "workflow_id": told["execution_id"], "status": "pending"}
    again = post(editor, f"execute{slash}", body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (200, told)
    name = told["execution_id"]
    waiting = get(editor, f"status/{name}{slash}").json()
    assert waiting["nodes"] == {"a.b": "pending", "c": "pending", "d": "pending"}
    carried(Execution.objects.get(workflow_id=name))
    assert get(editor, f"status/{name}{slash}").json() == {
        "execution_id": name,
        "status": "completed",
        "progress": {"done": 3, "total": 3},
        "nodes": {"a.b": "completed", "c": "completed", "d": "completed"},
        "result": {},
        "error": None,
    }
    first = get(editor, f"history/{name}{slash}?limit=2").json()
    rest = get(editor, f"history/{name}{slash}?cursor={first['next']}").json()
    events = [(one["node"], one["event"]) for one in (*first["events"], *rest["events"])]
    assert events == [
        ("", "execution_requested"),
        ("a.b", "node_completed"),
        ("c", "node_completed"),
        ("d", "node_completed"),
        ("", "execution_completed"),
    ]
    node = get(editor, f"executions/{name}/nodes/a.b").json()
    assert (node["output"], node["tries"], node["type"]) == ({"x": 1}, 1, "transform")
    assert get(editor, f"executions/{name}/nodes/z").status_code == 404
    listed = get(editor, "executions?mine=true&status=completed").json()["items"]
    assert [one["execution_id"] for one in listed] == [name]
    assert get(editor, "executions?status=failed").json()["items"] == []


def test_an_automation_is_executed_by_its_code_or_id(
    editor: Client, people: dict[str, User]
) -> None:
    row, _new = automation_create(
        code="orders", title="Orders", document=graph("a"), **said(people["editor"])
    )
    for name in ("orders", str(row.pk)):
        answer = post(editor, "execute/", {"definition_id": name, "params": {"x": 1}})
        assert answer.status_code == 202
    found = get(editor, "executions?automation=orders").json()["items"]
    assert [(one["automation"], one["version"]) for one in found] == [("orders", 1)] * 2
    for body in ({"definition_id": 7}, {"definition_id": "orders", "nodes": []}):
        answer = post(editor, "execute/", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "definition_id_invalid")


def test_what_runs_is_cancelled_and_what_failed_goes_on(editor: Client) -> None:
    name = post(editor, "execute/", graph("d a", d=delay(60), a=approval())).json()["execution_id"]
    carried(Execution.objects.get(workflow_id=name))
    answer = post(editor, f"cancel/{name}", {"reason": "Wrong one."})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert post(editor, f"cancel/{name}").json()["code"] == "already_settled"
    assert set(get(editor, f"status/{name}").json()["nodes"].values()) == {"cancelled"}
    name = post(editor, "execute/", graph("f>b", f=failing())).json()["execution_id"]
    carried(Execution.objects.get(workflow_id=name))
    assert get(editor, f"status/{name}").json()["error"]["code"] == "expression_failed"
    answer = post(editor, f"resume/{name}")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert post(editor, f"resume/{name}").json()["code"] == "not_failed"
    assert post(editor, f"resume/{name}", {"from_node": "f"}).json()["code"] == "not_ended"
    carried(Execution.objects.get(workflow_id=name))
    other = post(editor, f"resume/{name}", {"from_node": "f"})
    assert other.status_code == 202
    assert other.json()["execution_id"] != name
    assert EngineCommand.objects.filter(kind="start").count() == 4


def test_who_runs_what_needs_the_scopes_and_sees_only_their_own(
    editor: Client, people: dict[str, User]
) -> None:
    runs = caller_of(people["editor"], "automations:run")
    assert post(runs, "execute/", graph("a")).status_code == 403
    reads = caller_of(people["editor"], "automations:read", "automations:write")
    assert post(reads, "execute/", graph("a")).status_code == 403
    name = post(editor, "execute/", graph("a")).json()["execution_id"]
    assert get(caller_of(people["auditor"]), f"status/{name}").status_code == 200
    stranger = caller_of(people["requester"])
    for path in (f"status/{name}", f"history/{name}", f"executions/{name}/nodes/a"):
        assert get(stranger, path).status_code == 404
    for path in (f"cancel/{name}", f"resume/{name}"):
        assert post(stranger, path).status_code == 404
    assert get(stranger, "executions").json()["items"] == []
    assert get(Client(), f"status/{name}").status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"[]", 422, "definition_not_an_object"),
        (b"null", 422, "definition_not_an_object"),
        (b'{"nodes": [NaN]}', 400, "malformed_json"),
        (b'{"name": "\\u0000"}', 422, "invalid_text"),
        (b'{"nodes": "x"}', 422, "definition_invalid"),
        (b'{"definition_id": "a/b"}', 404, "automation_not_found"),
        (b'{"definition_id": "' + b"x" * 100_000 + b'"}', 404, "automation_not_found"),
        (json.dumps(graph("a") | {"params": 7}).encode(), 422, "params_invalid"),
        (json.dumps(graph("a") | {"x": "y" * 1_100_000}).encode(), 422, "definition_too_large"),
        (b'"' + b"x" * 10_000_000 + b'"', 413, "too_large"),
    ],
    ids=short,
)
def test_hostile_requests_have_a_code_and_begin_nothing(
    editor: Client, body: bytes, status: int, code: str
) -> None:
    answer = post(editor, "execute/", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not Execution.objects.exists()


@pytest.mark.parametrize(
    "name", ["x" * 300, "%00", "..", "00000000-0000-0000-0000-000000000000"], ids=short
)
def test_an_unknown_execution_is_not_found(editor: Client, name: str) -> None:
    assert get(editor, f"status/{name}").status_code == 404
    assert post(editor, f"cancel/{name}").status_code == 404
