"""What an execution tells about itself: its status, its nodes and its history."""

import json
from typing import Any

from apps.accounts.models import User
from apps.automations.contracts import ExecutionStatus
from apps.automations.models import Execution, NodeRun
from apps.automations.services.rows import PROCESS, graph_of, progress_of
from apps.common.identifiers import uuid_of
from apps.engine import process


def execution_of(name: str, *, by: User, related: tuple[str, ...] = ()) -> Execution:
    """Return the execution by the id of its workflow, or by that of its row. Raises NotFound, also
    for one that the user may not see."""
    rows = Execution.objects.visible_to(by).select_related(*related)
    row = rows.filter(workflow_id=name[:200]).first() if "\0" not in name else None
    if row is None and (pk := uuid_of(name)):
        row = rows.filter(pk=pk).first()
    if row is None:
        raise process.unknown(PROCESS)
    return row


def status_of(execution: Execution) -> dict[str, Any]:
    """Return the execution's status: `execution_id`, `status`, `progress` {done, total}, `nodes`
    (id: status), `result` and `error` {code, detail}."""
    graph = graph_of(execution)
    states = progress_of(execution, graph).states
    failed = execution.status == ExecutionStatus.FAILED
    return {
        "execution_id": execution.workflow_id,
        "status": execution.status,
        "progress": {
            "done": sum(state.status.settled for state in states),
            "total": len(states),
        },
        "nodes": {id: state.status for id, state in zip(graph.ids, states, strict=True)},
        "result": json.loads(execution.result) if execution.result else None,
        "error": {"code": execution.error_code, "detail": execution.error_detail}
        if failed
        else None,
    }


def node_of(execution: Execution, node_id: str) -> NodeRun | None:
    """Return the node's row; None while it is pending."""
    return NodeRun.objects.filter(execution=execution, node_id=node_id[:100]).first()
