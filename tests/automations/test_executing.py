"""Executions from their request to their end, by their services and by the local runner."""

import json
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.automations.models import Execution, NodeRun
from apps.automations.services.advancing import execution_advance
from apps.automations.services.reading import status_of
from apps.automations.services.requesting import execution_request
from tests.automations.graphs import condition, failing, graph, transform

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(people: dict[str, User]) -> User:
    return people["editor"]


def requested(by: User, document: Any, params: Any = None, **more: Any) -> Execution:
    return execution_request(
        document=document, params=params, by=by, via="api", as_of=timezone.now(), **more
    )[0]


def carried(execution: Execution) -> dict[str, Any]:
    """Run an execution of plain nodes to its end."""
    while not execution_advance(row_id=execution.pk, as_of=timezone.now()).status.ended:
        pass
    execution.refresh_from_db()
    return status_of(execution)


CASES: dict[str, tuple[dict[str, Any], dict[str, str], Any]] = {
    "a line": (
        graph("a>b", a=transform(x="params.n"), b=transform(y="inputs.x")),
        {"a": "completed", "b": "completed"},
        {"y": 7},
    ),
    "a join after a branch": (
        graph("c>a:true c>b:false a>j b>j", c=condition("params.n == 7"), j=transform(all="inputs")),
        {"c": "completed", "a": "completed", "b": "skipped", "j": "completed"},
        {"all": {"a": {}}},
    ),
    "a failure blocks what follows": (
        graph("f>j c>s:true s>j", f=failing(), c=condition("params.n == 8")),
        {"f": "failed", "j": "blocked", "c": "completed", "s": "skipped"},
        None,
    ),
    "a failure that is passed on": (
        graph("f>n:false", f=failing(on_error="continue"), n=transform(e="inputs.error.code")),
        {"f": "failed", "n": "completed"},
        {"e": "expression_failed"},
    ),
    "a failure with its own branch": (
        graph("f>ok f>e:error", f=failing(on_error="branch"), e=transform(e="inputs.error.code")),
        {"f": "failed", "ok": "skipped", "e": "completed"},
        {"e": {"e": "expression_failed"}},
    ),
    "several sinks": (
        graph("a>b a>c", a=transform(x="params.n")),
        {"a": "completed", "b": "completed", "c": "completed"},
        {"b": {}, "c": {}},
    ),
}


@pytest.mark.parametrize(("document", "nodes", "result"), CASES.values(), ids=CASES)
def test_it_runs_to_its_end(
    editor: User, document: Any, nodes: dict[str, str], result: Any
) -> None:
    execution = requested(editor, document, {"n": 7})
    status = carried(execution)
    assert {id: str(one) for id, one in status["nodes"].items()} == nodes
    assert status["result"] == result
    failed = "blocked" in nodes.values()
    assert status["status"] == ("failed" if failed else "completed")
    assert status["progress"] == {"done": len(nodes), "total": len(nodes)}
    assert (status["error"] or {}).get("code") == ("expression_failed" if failed else None)
    assert execution.done == len(nodes)
    assert NodeRun.objects.filter(execution=execution).count() == len(nodes)
    assert json.loads(execution.params) == {"n": 7}
