"""Executions from their request to their end, by their services and by the local runner."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.automations.models import AutomationVersion, Execution, NodeRun
from apps.automations.services.definitions import automation_create
from apps.automations.services.people import approval_settled
from apps.automations.services.requesting import execution_open, execution_request
from apps.automations.services.stopping import (
    execution_cancel,
    execution_repeat,
    execution_resume,
    execution_stop,
)
from apps.common.errors import DomainError
from apps.engine.models import EngineCommand
from tests.automations.drawing import approval, condition, delay, failing, graph, transform
from tests.automations.runs import advanced, carried, nodes_of, requested, said

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(people: dict[str, User]) -> User:
    return people["editor"]


CASES: dict[str, tuple[dict[str, Any], dict[str, str], Any]] = {
    "a line": (
        graph("a>b", a=transform(x="params.n"), b=transform(y="inputs.x")),
        {"a": "completed", "b": "completed"},
        {"y": 7},
    ),
    "a join after a branch": (
        graph(
            "c>a:true c>b:false a>j b>j", c=condition("params.n == 7"), j=transform(all="inputs")
        ),
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


# --- asking ---------------------------------------------------------------------------------------
def test_the_same_key_is_one_execution_and_one_start(
    editor: User, side_by_side: Callable[..., list[Any]]
) -> None:
    document = graph("a>b")
    rows = side_by_side(lambda n: requested(editor, document, idempotency_key="once").pk, 4)
    assert len(set(rows)) == 1
    assert Execution.objects.count() == AutomationVersion.objects.count() == 1
    assert EngineCommand.objects.filter(kind="start").count() == 1
    with pytest.raises(DomainError) as refused:
        requested(editor, document, {"other": 1}, idempotency_key="once")
    assert refused.value.code == "idempotency_key_reused"


def test_a_definition_is_kept_once_for_each_author(
    editor: User, people: dict[str, User], side_by_side: Callable[..., list[Any]]
) -> None:
    rows = side_by_side(lambda n: requested(editor, graph("a>b")).definition_id, 4)
    assert len(set(rows)) == AutomationVersion.objects.count() == 1
    assert Execution.objects.count() == 4


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"document": graph("a>b b>a")}, "definition_invalid"),
        ({"document": {}}, "definition_invalid"),
        ({"document": []}, "definition_not_an_object"),
        ({"document": graph("a>b"), "params": []}, "params_invalid"),
        ({"document": graph("a>b"), "params": {"x": float("nan")}}, "value_not_json"),
        ({"document": graph("a>b"), "params": {"x": "y" * 1_000_001}}, "output_too_large"),
        ({"automation": "nobody"}, "automation_not_found"),
        ({"automation": "draft"}, "automation_draft"),
    ],
)
def test_what_cannot_run_is_refused_and_audited(editor: User, given: Any, code: str) -> None:
    automation_create(code="draft", title="Draft", document={"name": "Draft"}, **said(editor))
    with pytest.raises(DomainError) as refused:
        execution_request(**given, **said(editor))
    assert refused.value.code == code
    assert not Execution.objects.exists()
    assert AuditEntry.objects.filter(action="execution.request").count() == 1


@pytest.mark.parametrize("who", ["requester", "auditor", "operator"])
def test_who_may_not_write_or_run_cannot_execute(people: dict[str, User], who: str) -> None:
    with pytest.raises(DomainError) as refused:
        requested(people[who], graph("a>b"))
    assert refused.value.code == "permission_denied"


def test_without_the_engine_nobody_can_be_asked(editor: User, settings: Any) -> None:
    settings.ENABLE_TEMPORAL_FEATURES = False
    with pytest.raises(DomainError) as refused:
        requested(editor, graph("a>b", a=approval()))
    assert refused.value.code == "approval_needs_engine"
    execution = requested(editor, graph("a>b"))
    assert execution.runner == "local"
    assert not EngineCommand.objects.exists()


# --- people and delays ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("decision", "nodes"),
    [
        ("approved", {"a": "completed", "yes": "completed", "no": "skipped"}),
        ("rejected", {"a": "completed", "yes": "skipped", "no": "completed"}),
        ("expired", {"a": "completed", "yes": "skipped", "no": "completed"}),
    ],
)
def test_a_person_decides_which_way_it_goes(
    editor: User, people: dict[str, User], decision: str, nodes: dict[str, str]
) -> None:
    document = graph("a>yes:approved a>no:rejected", a=approval(title="Pay {{ params.who }}"))
    execution = requested(editor, document, {"who": "Ada"})
    assert carried(execution)["status"] == "waiting"
    request = ApprovalRequest.objects.get()
    assert (request.title, request.requested_by) == ("Pay Ada", editor)
    assert request.tiers == [{"group": "reviewer", "quorum": 1}]
    # Who wrote it cannot sign either, under whatever key it was started.
    assert request.payloads.get().edited_by == editor
    request.status = decision
    for _again in range(2):
        by = None if decision == "expired" else people["reviewer"]
        with transaction.atomic():
            approval_settled(request=request, by=by, via="page", as_of=timezone.now())
    assert carried(execution)["status"] == "completed"
    assert nodes_of(execution) == nodes
    output = NodeRun.objects.get(execution=execution, node_id="a").value
    assert output["approved"] is (decision == "approved")
    assert output.get("expired", False) is (decision == "expired")
    assert EngineCommand.objects.filter(name="execution_changed").count() == 1


def test_a_group_that_is_not_there_fails_the_node(editor: User) -> None:
    execution = requested(editor, graph("a>b", a=approval(group="nobody")))
    assert carried(execution)["error"]["code"] == "group_unknown"
    assert not ApprovalRequest.objects.exists()


def test_a_delay_ends_in_its_time(editor: User, time_machine: Any) -> None:
    now = timezone.now()
    time_machine.move_to(now, tick=False)
    execution = requested(editor, graph("d>n", d=delay(5), n=transform(s="inputs.delayed_seconds")))
    assert carried(execution)["status"] == "waiting"
    time_machine.move_to(now + timedelta(seconds=4.9), tick=False)
    assert carried(execution)["status"] == "waiting"
    time_machine.move_to(now + timedelta(seconds=5), tick=False)
    assert carried(execution)["result"] == {"s": 5.0}


# --- cancel, resume, repeat -----------------------------------------------------------------------
def test_cancelled_it_leaves_nothing_open(
    editor: User, people: dict[str, User], side_by_side: Callable[..., list[Any]]
) -> None:
    execution = requested(editor, graph("a>end d>end", a=approval(), d=delay(60)))
    carried(execution)

    def cancel(_n: int) -> Any:
        return execution_cancel(execution_id=execution.pk, **said(editor))

    ends = side_by_side(cancel, 4)
    refused = [end.code for end in ends if isinstance(end, DomainError)]
    assert refused == ["already_settled"] * 3
    execution.refresh_from_db()
    assert execution.status == "cancelled"
    assert set(nodes_of(execution).values()) == {"cancelled"}
    assert ApprovalRequest.objects.get().status == "cancelled"
    assert advanced(execution).status == "cancelled"
    with connection.cursor() as cursor, pytest.raises(DatabaseError):
        cursor.execute("UPDATE automations_execution SET status = 'running'")


def test_resumed_only_what_failed_runs_again(editor: User) -> None:
    document = graph("a>f f>b a>c", f=failing())
    execution = requested(editor, document)
    assert carried(execution)["status"] == "failed"
    ended = dict(NodeRun.objects.values_list("node_id", "ended_at"))
    execution = execution_resume(execution_id=execution.pk, **said(editor))
    assert nodes_of(execution) == {
        "a": "completed",
        "f": "pending",
        "b": "pending",
        "c": "completed",
    }
    with pytest.raises(DomainError) as refused:
        execution_resume(execution_id=execution.pk, **said(editor))
    assert refused.value.code == "not_failed"
    assert carried(execution)["status"] == "failed"
    again = dict(NodeRun.objects.values_list("node_id", "ended_at"))
    assert {id for id in ended if ended[id] != again[id]} == {"f", "b"}
    assert dict(NodeRun.objects.values_list("node_id", "tries")) == {"a": 1, "f": 2, "b": 0, "c": 1}
    assert EngineCommand.objects.filter(kind="start").count() == 2


def test_repeated_from_a_node_it_takes_over_the_rest(editor: User) -> None:
    document = graph("a>b b>c a>d", a=transform(x="params.x"), d=transform(x="inputs.x"))
    first = requested(editor, document, {"x": 1})
    carried(first)
    for _again in range(2):
        second, _new = execution_repeat(
            execution_id=first.pk, from_node="b", idempotency_key="k", **said(editor)
        )
    assert second.pk != first.pk
    assert nodes_of(second) == {"a": "completed", "b": "pending", "c": "pending", "d": "completed"}
    assert carried(second)["result"] == {"c": {}, "d": {"x": 1}}
    assert Execution.objects.count() == 2
    with pytest.raises(DomainError) as refused:
        execution_repeat(execution_id=first.pk, from_node="z", **said(editor))
    assert refused.value.code == "node_unknown"


def test_stopped_what_waits_has_failed_and_can_run_again(editor: User) -> None:
    execution = requested(editor, graph("d>end", d=delay(60)))
    carried(execution)
    execution_stop(
        row_id=execution.pk, code="deadline_exceeded", detail="Late.", as_of=timezone.now()
    )
    execution.refresh_from_db()
    assert nodes_of(execution) == {"d": "failed", "end": "blocked"}
    resumed = execution_resume(execution_id=execution.pk, **said(editor))
    assert carried(resumed)["status"] == "waiting"


def test_a_finished_node_never_changes(editor: User) -> None:
    execution = requested(editor, graph("a>b"))
    carried(execution)
    with connection.cursor() as cursor, pytest.raises(DatabaseError):
        cursor.execute("UPDATE automations_node SET output = '1' WHERE node_id = 'a'")


# --- started by hand ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("input", "bare", "code"),
    [
        ({"execution_id": "execution-of-nobody"}, "accept", "not_found"),
        ({}, "accept", "not_found"),
        (graph("a>b b>a"), "accept", "definition_invalid"),
        (graph("a>b") | {"params": [1]}, "accept", "params_invalid"),
        (graph("a>b"), "refuse", "bare_start_refused"),
    ],
)
def test_what_somebody_starts_in_the_engine_may_be_refused(
    people: dict[str, User], settings: Any, input: Any, bare: str, code: str
) -> None:
    settings.AUTOMATIONS_BARE_STARTS = bare
    with pytest.raises(DomainError) as refused:
        execution_open(workflow_id="by-hand", input=input, as_of=timezone.now())
    assert refused.value.code == code
    assert not Execution.objects.exists()
    assert AuditEntry.objects.filter(action="execution.request").count() == 1


def test_the_same_start_by_hand_again_finds_its_row(people: dict[str, User]) -> None:
    said_twice = [
        execution_open(workflow_id="by-hand", input=graph("a>b"), as_of=timezone.now())
        for _again in range(2)
    ]
    assert said_twice[0] == said_twice[1]
    execution = Execution.objects.get()
    assert (execution.workflow_id, execution.requested_by) == ("by-hand", None)
    assert not EngineCommand.objects.exists()
