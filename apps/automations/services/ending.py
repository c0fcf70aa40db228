"""The end of an execution: its result, its next attempt, or its error."""

from datetime import datetime

from django.conf import settings

from apps.audit.contracts import ENGINE, Actor
from apps.automations.contracts import EXECUTION, ExecutionStatus, NodeStatus, Outcome
from apps.automations.contracts.graph import NodeState, Progress
from apps.automations.contracts.messages import Advanced
from apps.automations.models import Execution, NodeRun
from apps.automations.services.inputs import result_of
from apps.automations.services.rows import (
    Event,
    Graph,
    changes_between,
    events_add,
    node_row,
    nodes_put,
    record,
    row_save,
)
from apps.engine import process


def execution_finish(
    execution: Execution, graph: Graph, progress: Progress, *, as_of: datetime
) -> Advanced:
    """End an execution all of whose nodes have ended, or begin its next attempt: not after a
    failure that another attempt would repeat. Joins the transaction that holds its lock."""
    if progress.failure is None:
        execution.result = result_of(execution, graph, progress)
        execution_end(execution, ExecutionStatus.COMPLETED, as_of=as_of)
        return Advanced(ExecutionStatus.COMPLETED)
    failed = NodeRun.objects.filter(
        execution=execution, status=NodeStatus.FAILED, outcome=Outcome.NONE
    )
    final = failed.filter(final=True).exists()
    if not final and execution.attempt < settings.TEMPORAL_WORKFLOW_MAX_RETRIES:
        return _again(execution, graph, progress, as_of=as_of)
    first = failed.only("error_code", "error_detail").order_by("index")[0]
    execution_end(
        execution,
        ExecutionStatus.FAILED,
        code=first.error_code,
        detail=first.error_detail,
        as_of=as_of,
    )
    return Advanced(ExecutionStatus.FAILED, code=first.error_code, detail=first.error_detail)


def execution_end(
    execution: Execution,
    status: ExecutionStatus,
    *,
    code: str = "",
    detail: str = "",
    by: Actor = ENGINE,
    via: str = "engine",
    as_of: datetime,
) -> None:
    """Write the end of an execution, into its history and the audit trail too. Joins the
    transaction that holds its lock."""
    fields = process.ended(execution, status, code=code, detail=detail, as_of=as_of)
    row_save(execution, "result", "done", *fields)
    events_add(execution, [("", f"execution_{status}", code)], at=as_of)
    said = {"code": code} if code else {}
    record(execution, f"{EXECUTION}.{status}", by=by, via=via, **said)


def nodes_retry(execution: Execution, graph: Graph, progress: Progress) -> list[Event]:
    """Set the nodes that failed, and those that they block, to pending; return their events."""
    again = progress.retry()
    tries = dict(
        NodeRun.objects.filter(execution=execution, index__in=again).values_list("index", "tries")
    )
    nodes_put(
        node_row(execution, graph, index, status=NodeStatus.PENDING, tries=tries.get(index, 0))
        for index in again
    )
    return [(graph.ids[index], "node_pending", "") for index in again]


# --- helpers --------------------------------------------------------------------------------------
def _again(execution: Execution, graph: Graph, progress: Progress, *, as_of: datetime) -> Advanced:
    before: list[NodeState] = list(progress.states)
    events = nodes_retry(execution, graph, progress)
    execution.attempt += 1
    execution.done = progress.done
    row_save(execution, "attempt", "done", "status")
    events_add(execution, [("", "attempt_begun", str(execution.attempt)), *events], at=as_of)
    return Advanced(
        ExecutionStatus(execution.status),
        changes_between(before, progress.states, {}),
        attempt=execution.attempt,
    )
