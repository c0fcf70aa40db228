"""The beginning and the end of a node's try, each in one statement: between them lies a call of a
few milliseconds, and there are hundreds of nodes.

The execution's row is locked first, with a lock that many tries share: nothing begins or ends in an
execution that somebody cancels at the same moment, and no node waits for another one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.automations import metrics
from apps.automations.contracts import EXECUTION, NodeStatus, Outcome
from apps.automations.contracts.graph import NodeState
from apps.automations.contracts.messages import NodeChange
from apps.automations.models import NodeRun
from apps.automations.models.executions import OPEN
from apps.automations.services.rows import PROCESS, Graph
from apps.engine import process
from apps.live.broadcast import broadcast

#: Statuses in which a node gives the answer that it has.
ENDED = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELLED, NodeStatus.BLOCKED)

_BEGIN = """
WITH execution AS (
    SELECT id, workflow_id, params, status = ANY(%(open)s) AS is_open
    FROM automations_execution WHERE id = %(row)s FOR SHARE
), before AS (
    SELECT status, outcome FROM automations_node
    WHERE execution_id = %(row)s AND index = %(index)s
), begun AS (
    INSERT INTO automations_node AS node (execution_id, index, node_id, type, status, outcome,
        tries, failures, output, error_code, error_detail, final, started_at)
    SELECT id, %(index)s, %(node)s, %(type)s, 'running', 'none', 1, 0, '', '', '', false, %(now)s
    FROM execution WHERE is_open
    ON CONFLICT (execution_id, index) DO UPDATE
    SET status = 'running', outcome = 'none', tries = node.tries + 1,
        started_at = coalesce(node.started_at, excluded.started_at)
    WHERE node.status <> ALL(%(ended)s)
    RETURNING tries
), told AS (
    INSERT INTO automations_event (execution_id, at, node_id, event, detail)
    SELECT %(row)s, %(now)s, %(node)s, 'node_started', tries::text FROM begun
)
SELECT workflow_id, params, (SELECT tries FROM begun),
       (SELECT status FROM before), (SELECT outcome FROM before),
       -- A beginning that a crash of the server takes back is only tried once more.
       set_config('synchronous_commit', 'off', true)
FROM execution
"""

_END = """
WITH execution AS (
    SELECT id FROM automations_execution
    WHERE id = %(row)s AND status = ANY(%(open)s) FOR SHARE
), before AS (
    SELECT status, outcome FROM automations_node
    WHERE execution_id = %(row)s AND index = %(index)s
), ended AS (
    UPDATE automations_node node
    SET status = %(status)s, outcome = %(outcome)s, output = %(output)s,
        error_code = %(error_code)s, error_detail = %(error_detail)s, final = %(final)s,
        ended_at = %(now)s
    FROM execution
    WHERE node.execution_id = execution.id AND node.index = %(index)s
      AND node.status <> ALL(%(ended)s)
    RETURNING node.started_at
), told AS (
    INSERT INTO automations_event (execution_id, at, node_id, event, detail)
    SELECT %(row)s, %(now)s, %(node)s, 'node_' || %(status)s, %(error_code)s FROM ended
)
SELECT EXISTS (SELECT 1 FROM ended), (SELECT started_at FROM ended),
       (SELECT status FROM before), (SELECT outcome FROM before),
       EXISTS (SELECT 1 FROM execution)
"""

#: For lists, now and then: whoever advances or ends the execution counts under its lock.
_COUNT = """
UPDATE automations_execution SET done = (
    SELECT count(*) FROM automations_node
    WHERE execution_id = %(row)s AND status <> ALL(%(unsettled)s)
)
WHERE id = (SELECT id FROM automations_execution WHERE id = %(row)s AND status = ANY(%(open)s)
            FOR NO KEY UPDATE SKIP LOCKED)
"""
COUNT_SECONDS = 1.0
_ENDED = [str(one) for one in ENDED]
_UNSETTLED = [str(one) for one in NodeStatus if not one.settled]
_OPEN = [str(one) for one in OPEN]


@dataclass(frozen=True)
class Begun:
    """A try that has begun. `number`: of the node's tries; `params`: as JSON."""

    workflow_id: str
    params: str
    number: int


def try_begin(row_id: UUID, graph: Graph, index: int, *, at: datetime) -> Begun | NodeChange:
    """Note that a try begins. Returns the node's state if it has ended, or can never run. Raises
    NotFound."""
    found = _one(_BEGIN, _named(row_id, graph, index, at) | {"type": graph.type(index)})
    if found is None:
        raise process.unknown(PROCESS)
    workflow_id, params, number, status, outcome, _off = found
    if number is None:
        return _known(index, status, outcome)
    _announce(row_id)
    return Begun(workflow_id, params, number)


def try_end(
    row_id: UUID,
    graph: Graph,
    index: int,
    state: NodeState,
    *,
    at: datetime,
    output: str = "",
    error_code: str = "",
    error_detail: str = "",
    final: bool = False,
) -> NodeChange:
    """Write the end of a node, if it has none yet; return the state in which it has ended."""
    columns = {
        "status": state.status,
        "outcome": state.outcome,
        "output": output,
        "error_code": error_code,
        "error_detail": error_detail,
        "final": final,
    }
    found = _one(_END, _named(row_id, graph, index, at) | columns)
    assert found is not None  # a statement without FROM gives a row
    is_ended, started_at, status, outcome, is_open = found
    if not is_ended:
        return _known(index, status if is_open else None, outcome)
    _announce(row_id)
    node = NodeRun(type=graph.type(index), status=state.status, started_at=started_at, ended_at=at)
    metrics.count([node])
    return NodeChange(index, state.status, state.outcome)


class Counting:
    """Keeps the count of an execution's nodes that lists show, at most once in COUNT_SECONDS."""

    def __init__(self) -> None:
        self._next: dict[UUID, float] = {}

    def node_ended(self, row_id: UUID) -> None:
        """Count, if it is time; without waiting for anybody who has locked the execution."""
        now = time.monotonic()
        if now < self._next.get(row_id, 0.0):
            return
        if len(self._next) > MOST_COUNTED:
            self._next.clear()
        self._next[row_id] = now + COUNT_SECONDS
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, {"row": row_id, "unsettled": _UNSETTLED, "open": _OPEN})


COUNTING = Counting()
#: Executions of which a process remembers when it has counted.
MOST_COUNTED = 1000


# --- helpers --------------------------------------------------------------------------------------
def _named(row_id: UUID, graph: Graph, index: int, at: datetime) -> dict[str, Any]:
    return {
        "row": row_id,
        "index": index,
        "node": graph.ids[index],
        "now": at,
        "open": _OPEN,
        "ended": _ENDED,
    }


def _one(statement: str, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _known(index: int, status: str | None, outcome: str | None) -> NodeChange:
    """Return the state of a node that has ended; `cancelled` for one that can never run."""
    if status is None or status not in ENDED:
        return NodeChange(index, NodeStatus.CANCELLED)
    return NodeChange(index, NodeStatus(status), Outcome(outcome or Outcome.NONE))


def _announce(row_id: UUID) -> None:
    # Pages read it again whatever the version says.
    broadcast(f"{EXECUTION}:{row_id}", id=str(row_id), version=0)
