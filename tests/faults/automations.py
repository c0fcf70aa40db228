"""Automations for the fault harness: calls, a signature and a message, each with one effect."""

import json
import urllib.request
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from tests.automations.drawing import approval, call, graph, node, transform
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

#: What may happen to an execution once, and never again.
ONCE = ("execution.requested", "execution.completed", "execution.failed", "execution.cancelled")
_SEEN = """
SELECT e.id::text, e.workflow_id, e.status, v.nodes,
       (SELECT count(*) FROM automations_node n
        WHERE n.execution_id = e.id AND n.status = 'completed'),
       ARRAY(SELECT h.node_id || ' ' || h.event FROM automations_event h
             WHERE h.execution_id = e.id AND h.event LIKE '%%completed'
             GROUP BY 1 HAVING count(*) > 1),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'execution' AND a.subject_id = e.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1)
FROM automations_execution e JOIN automations_version v ON v.id = e.definition_id
WHERE e.id::text = ANY(%s)
"""
_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id = ANY(%s) AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id = ANY(%s) AND status = 'running'
UNION ALL
SELECT 'request ' || id FROM approvals_approvalrequest
WHERE subject_id = ANY(%s) AND status = 'open'
"""


def outside(story: Story) -> str:
    """The address of the programs outside, which nobody kills."""
    return story.sink.removesuffix("/executor")


def effects(story: Story) -> dict[str, dict[str, int]]:
    """How often each key was sent there, and how often it had an effect."""
    with urllib.request.urlopen(f"{outside(story)}/echo-counts", timeout=30) as answer:
        return dict(json.loads(answer.read())["effects"])


def execute(story: Story, body: Any) -> str:
    """Ask for an execution; return its row's id."""
    answer = story.insist(
        "POST", "/workflow/execute/", user="editor", body=body, key=f"fault-{uuid4()}"
    )
    assert answer.status in (200, 202), answer
    rows = story.stack.sql(
        "SELECT id::text FROM automations_execution WHERE workflow_id = %s",
        answer.body["execution_id"],
    )
    return str(rows[0][0])


def ended(story: Story, execution: str) -> bool:
    """Whether it has come to its end."""
    query = "SELECT settled_at IS NOT NULL FROM automations_execution WHERE id = %s"
    return bool(story.stack.sql(query, execution)[0][0])


def prove(story: Story, executions: Sequence[str]) -> None:
    """AssertionError unless each has completed, with all of its nodes once, and left nothing over;
    and unless no call outside had an effect twice."""
    ids = list(executions)
    eventually(lambda: not story.stack.sql(_LEFTOVERS, ids, ids, ids), timeout=30, every=0.1)
    rows = story.stack.sql(_SEEN, list(ONCE), ids)
    assert len(rows) == len(ids)
    done = effects(story)
    for _pk, name, status, nodes, completed, twice, audited in rows:
        assert (status, completed, twice, audited) == ("completed", nodes, [], []), name
        mine = {key: counts for key, counts in done.items() if key.startswith(f"{name}:")}
        assert mine, name
        assert {counts["effects"] for counts in mine.values()} == {1}, mine


def _signed(story: Story, points: Points) -> str:
    echo = f"{outside(story)}/echo"
    document = graph(
        "read>ask ask>sign sign>tell:approved",
        read=transform(order="params.order"),
        ask=call(f"{echo}/ask", method="POST", body={"order": "{{ inputs.order }}"}),
        sign=approval("Send {{ params.order }}"),
        tell=node("webhook", url=f"{echo}/tell", payload="{{ nodes.ask.data.json }}"),
    )
    execution = execute(story, {**document, "params": {"order": 7}})
    query = """SELECT id::text FROM approvals_approvalrequest
               WHERE subject_id = %s AND status = 'open'"""
    request = eventually(lambda: story.stack.sql(query, execution), timeout=120, every=0.1)
    shown = story.insist("GET", f"/approvals/{request[0][0]}", user="reviewer")
    story.decide(shown.body, verdict="approve")
    return execution


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


SAGAS = [
    FaultSaga(
        name="automation",
        points=(
            *_around("open_execution", "advance_execution", "run_node"),
            *("execution_advance.uncommitted", "node_end.uncommitted"),
            *("node_try.begun", "node_try.answered"),
        ),
        begin=_signed,
        ended=ended,
        prove=prove,
    )
]

NOT_WALKED = {
    "cancel_execution": "one transaction under the row's lock (tests/automations)",
    "stop_execution": "one transaction under the row's lock (tests/automations)",
    "validate_definition": "a pure function",
}
