"""Verbs on an execution: cancelled, stopped, resumed, repeated from a node."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE, Actor
from apps.automations.contracts import (
    EXECUTION,
    SIGNAL_CHANGED,
    ExecutionStatus,
    NodeStatus,
    Outcome,
    Runner,
)
from apps.automations.contracts.graph import NodeState
from apps.automations.contracts.messages import Advanced
from apps.automations.models import Execution, NodeRun
from apps.automations.services.advancing import ended_of
from apps.automations.services.ending import execution_end, nodes_retry
from apps.automations.services.requesting import RELATED, RUN, execution_made
from apps.automations.services.rows import (
    PROCESS,
    Graph,
    events_add,
    execution_lock,
    graph_of,
    node_row,
    nodes_put,
    progress_of,
    record,
    row_save,
)
from apps.automations.services.waking import local_wake
from apps.common.canonical_json import digest
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine import process

CANCEL = "automations.cancel_execution"


def execution_cancel(
    *, execution_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> Execution:
    """Cancel an execution: its nodes that have not ended, its open requests and itself, in one
    transaction. What is under way is cut off within seconds, and nothing begins after it.

    Raises, audited: NotFound; NotAllowed `permission_denied`; Invalid `reason_invalid`; Conflict
    `already_settled` (extra status).
    """
    with process.acting(
        PROCESS, "cancel", execution_id, by=by, via=via, reason=reason, permission=CANCEL
    ) as (execution, said):
        process.check_unsettled(PROCESS, execution)
        _cancel(execution, by=by, via=via, reason=said, as_of=as_of)
        if execution.runner == Runner.ENGINE:
            event = f"cancelled:{execution.resumes}"
            process.wake(PROCESS, execution, signal=SIGNAL_CHANGED, event=event)
    return execution


def execution_cancel_signalled(*, row_id: UUID | str, reason: str, as_of: datetime) -> Advanced:
    """Cancel an execution because somebody asked its workflow to. No-op once it has ended."""
    with transaction.atomic(durable=True):
        execution = execution_lock(row_id)
        if not execution.has_ended:
            _cancel(execution, by=ENGINE, via="engine", reason=reason, as_of=as_of)
        return ended_of(execution)


def execution_stop(
    *,
    row_id: UUID | str,
    code: str,
    detail: str,
    as_of: datetime,
) -> Advanced:
    """Fail an execution that may not go on: what has not ended fails with it. No-op once it has
    ended."""
    with transaction.atomic(durable=True):
        execution = execution_lock(row_id)
        if not execution.has_ended:
            _fail(execution, code=code, detail=detail, as_of=as_of)
        return ended_of(execution)


def execution_closed(row_id: UUID | str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """Fail an execution whose workflow was ended by somebody else, or can never be reached. Joins
    the engine's transaction."""
    execution = process.carried(PROCESS, row_id, workflow_id)
    if execution is not None:
        _fail(execution, code="closed_in_engine", detail=why, as_of=as_of)


def execution_resume(
    *, execution_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> Execution:
    """Run what has failed, and what it blocked, once more; return the execution. What has finished
    never runs again.

    Raises, audited: as `execution_cancel`; Conflict `not_failed` for one that has not failed.
    """
    with process.acting(
        PROCESS, "resume", execution_id, by=by, via=via, reason=reason, permission=CANCEL
    ) as (execution, said):
        if execution.status != ExecutionStatus.FAILED:
            raise Conflict(
                _("Only an execution that has failed can go on."),
                code="not_failed",
                status=execution.status,
            )
        graph = graph_of(execution)
        progress = progress_of(execution, graph)
        events = nodes_retry(execution, graph, progress)
        execution.status = ExecutionStatus.RUNNING
        execution.attempt, execution.resumes = 1, execution.resumes + 1
        execution.done = progress.done
        execution.error_code = execution.error_detail = ""
        execution.settled_at = None
        row_save(
            execution,
            *("status", "attempt", "resumes", "done", "error_code", "error_detail", "settled_at"),
        )
        events_add(execution, [("", "execution_resumed", by.username), *events], at=as_of)
        record(execution, f"{EXECUTION}.resumed", by=by, via=via, reason=said)
        if execution.runner == Runner.ENGINE:
            process.start_again(PROCESS, execution, key=f"resume:{execution.resumes}")
        else:
            local_wake()
    return execution


def execution_repeat(
    *,
    execution_id: UUID | str,
    from_node: str,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[Execution, bool]:
    """Run an execution that has ended once more from a node on; return the new execution, and
    whether it is new. What neither is the node nor comes after it, and has finished, is taken over
    with its output.

    Raises, audited: NotFound; NotAllowed `permission_denied`; Invalid `node_unknown`,
    `idempotency_key_invalid`; Conflict `not_ended`, `idempotency_key_reused`.
    """
    with process.audited(PROCESS, "repeat", execution_id, by=by, via=via):
        rows = Execution.objects.visible_to(by).select_related(*RELATED)
        first = rows.filter(pk=process.id_of(PROCESS, execution_id)).first()
        if first is None:
            raise process.unknown(PROCESS)
        if not by.has_perm(RUN):
            raise NotAllowed(_("You may not execute this."), code="permission_denied")
        graph = graph_of(first)
        if from_node not in graph.places:
            raise Invalid(
                filled(_("It has no node {node}."), node=from_node[:100]), code="node_unknown"
            )

        def columns() -> dict[str, Any]:
            if not first.has_ended:
                raise Conflict(_("It has not ended yet: cancel it first."), code="not_ended")
            return {
                "definition": first.definition,
                "runner": first.runner,
                "params": first.params,
                "repeats": first,
                "from_node": from_node,
            }

        def made(row: Execution) -> None:
            execution_made(row, by=by, via=via, as_of=as_of)
            _take_over(first, row, graph, from_node, as_of=as_of)

        return process.ask_once(
            PROCESS,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest([str(first.pk), from_node]),
            related=RELATED,
            as_of=as_of,
        )


# --- helpers --------------------------------------------------------------------------------------
def _cancel(execution: Execution, *, by: Actor, via: str, reason: str, as_of: datetime) -> None:
    why = reason or gettext("The execution was cancelled.")
    left = _unsettled(execution)
    _settle(execution, left, NodeStatus.CANCELLED, as_of=as_of)
    questions_close(PROCESS, execution, by=by, reason=why, as_of=as_of)
    execution_end(
        execution,
        ExecutionStatus.CANCELLED,
        code="cancelled",
        detail=reason,
        by=by,
        via=via,
        as_of=as_of,
    )


def _fail(execution: Execution, *, code: str, detail: str, as_of: datetime) -> None:
    """What runs or waits has failed; what has not begun is blocked by it."""
    left = _unsettled(execution)
    begun = {index: state for index, state in left.items() if state.status != NodeStatus.PENDING}
    error = {"error_code": code[:60], "error_detail": detail[:5000]}
    _settle(execution, begun, NodeStatus.FAILED, as_of=as_of, **error)
    rest = {index: state for index, state in left.items() if index not in begun}
    _settle(execution, rest, NodeStatus.BLOCKED, as_of=as_of)
    questions_close(PROCESS, execution, by=ENGINE, reason=detail or code, as_of=as_of)
    execution_end(execution, ExecutionStatus.FAILED, code=code, detail=detail, as_of=as_of)


def _unsettled(execution: Execution) -> dict[int, NodeState]:
    graph = graph_of(execution)
    states = progress_of(execution, graph).states
    return {index: state for index, state in enumerate(states) if not state.status.settled}


def _settle(
    execution: Execution,
    left: Collection[int],
    status: NodeStatus,
    *,
    as_of: datetime,
    **columns: Any,
) -> None:
    """End these nodes, and note it in the history."""
    graph = graph_of(execution)
    rows = {row.index: row for row in NodeRun.objects.filter(execution=execution, index__in=left)}
    for index in left:
        row = rows.setdefault(index, node_row(execution, graph, index))
        row.status, row.outcome, row.ended_at = status, Outcome.NONE, as_of
        for name, value in columns.items():
            setattr(row, name, value)
    nodes_put(rows[index] for index in sorted(rows))
    said = str(columns.get("error_code", ""))
    events = [(graph.ids[index], f"node_{status}", said) for index in sorted(rows)]
    events_add(execution, events, at=as_of)
    execution.done += len(rows)


def _take_over(
    first: Execution, row: Execution, graph: Graph, from_node: str, *, as_of: datetime
) -> None:
    """Copy the nodes that have finished and do not come after the one that runs again."""
    again = descendants(graph, graph.places[from_node])
    taken = NodeRun.objects.filter(
        execution=first, status__in=(NodeStatus.COMPLETED, NodeStatus.SKIPPED)
    ).exclude(index__in=again)
    copies = list(taken.order_by("index"))
    for node in copies:
        node.pk, node.execution, node.tries = None, row, 0
    NodeRun.objects.bulk_create(copies)
    row.done = len(copies)
    row.save(update_fields=["done"])
    events = [(node.node_id, "node_taken_over", first.workflow_id) for node in copies]
    events_add(row, events, at=as_of)


def descendants(graph: Graph, index: int) -> list[int]:
    """Return the node and all that come after it."""
    children = graph.plan.children
    found, waiting = {index}, [index]
    while waiting:
        new = [child for child in children[waiting.pop()] if child not in found]
        found.update(new)
        waiting.extend(new)
    return sorted(found)
