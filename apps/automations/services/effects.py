"""Nodes with an effect: begun, tried, and ended; done once for each key."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.automations import metrics
from apps.automations.contracts import NodeStatus, NodeType, Outcome
from apps.automations.contracts.graph import COMPLETED, NodeState
from apps.automations.contracts.messages import NodeChange
from apps.automations.models import Execution, NodeRun
from apps.automations.nodes import EFFECTS
from apps.automations.nodes.call import Call
from apps.automations.secrets import Secrets
from apps.automations.services.inputs import Inputs
from apps.automations.services.rows import (
    PROCESS,
    Graph,
    events_add,
    execution_lock,
    graph_of,
    node_row,
    progress_of,
)
from apps.automations.values import json_of
from apps.common.correlation import get_logger
from apps.common.errors import DomainError, Invalid, Unavailable
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process

logger = get_logger(__name__)

#: Statuses in which a node gives the answer that it has.
_ENDED = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELLED, NodeStatus.BLOCKED)
#: The code of a call that `stopped()` has ended.
CUT_OFF = "cut_off"
#: How often a call under way looks whether its execution has ended.
LOOK_SECONDS = 1.0


def node_try(
    *, row_id: UUID | str, index: int, stopped: Callable[[], bool] = lambda: False
) -> NodeChange:
    """Run a node with an effect once; return the state in which it has ended.

    Raises Unavailable if another try is to follow. `stopped()` tells whether the call is to be cut
    off; the end of the execution cuts it off too. A node that has ended answers as it did. The
    effect has the key `<execution>:<node>` at every try, in every attempt of the run: whoever
    receives it twice, after a kill between the answer and our commit, knows it by that. Raises
    NotFound.
    """
    begun = _begin(row_id, index)
    if isinstance(begun, NodeChange):
        return begun
    failpoint("node_try.begun")
    try:
        text = begun.run(stopped)
    except DomainError as error:
        return _failed(begun, error)
    failpoint("node_try.answered")
    return _end(begun, COMPLETED, output=text)


# --- a try ----------------------------------------------------------------------------------------
@dataclass
class _Begun:
    execution: Execution
    graph: Graph
    index: int
    number: int
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        return self.graph.ids[self.index]

    def run(self, stopped: Callable[[], bool]) -> str:
        """Have the effect; return the node's output as JSON. Raises DomainError."""
        look = _Look(self.execution, stopped)
        call = Call(
            data=self.graph.data[self.index],
            values=self.values,
            key=f"{self.execution.workflow_id}:{self.node_id}",
            seconds=self.graph.timeout(self.index),
            secrets=Secrets(),
            stopped=look.stopped,
            number=self.number,
        )
        try:
            output = EFFECTS[self.graph.type(self.index)](call)
        except DomainError:
            raise
        except Exception as error:
            # A defect of ours must not be tried for ever: the node fails, and the log says why.
            logger.exception("automations.node_broke", node_type=str(self.graph.type(self.index)))
            raise Invalid(_("The node could not be run."), code="node_broke") from error
        return json_of(output)


class _Look:
    """Tells whether a call under way is to be cut off, without asking the database all the time."""

    def __init__(self, execution: Execution, stopped: Callable[[], bool]) -> None:
        self._open = Execution.objects.unsettled().filter(pk=execution.pk)
        self._stopped, self._next = stopped, time.monotonic() + LOOK_SECONDS
        self._ended = False

    def stopped(self) -> bool:
        """Return whether somebody has stopped the call, or the execution has ended."""
        if not self._ended and time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_SECONDS
            try:
                self._ended = not self._open.exists()
            except DatabaseError:
                # Unknown: the call goes on, and its own limit ends it.
                pass
        return self._ended or self._stopped()


def _begin(row_id: UUID | str, index: int) -> "_Begun | NodeChange":
    """Note the try. Returns the node's state if it has ended, or can never run."""
    with transaction.atomic(durable=True):
        execution = execution_lock(row_id)
        graph = graph_of(execution)
        node = NodeRun.objects.filter(execution=execution, index=index).first()
        if node is not None and node.status in _ENDED:
            return _change(node)
        if execution.has_ended:
            return NodeChange(index, NodeStatus.CANCELLED)
        now = timezone.now()
        node = node or node_row(execution, graph, index)
        node.status, node.outcome = NodeStatus.RUNNING, Outcome.NONE
        node.tries += 1
        node.started_at = node.started_at or now
        node.save()
        events_add(execution, [(node.node_id, "node_started", str(node.tries))], at=now)
        process.save(PROCESS, execution)
    begun = _Begun(execution, graph, index, node.tries)
    inputs = Inputs(execution, graph, progress_of(execution, graph))
    try:
        inputs.load([index])
    except Invalid as refused:
        return _failed(begun, refused)
    begun.values = inputs.of(index)
    return begun


def _failed(begun: _Begun, error: DomainError) -> NodeChange:
    """Write the failure of a try. Raises Unavailable if another try is to follow."""
    code, detail = error.code[:60], error.recorded[:5000]
    final = not isinstance(error, Unavailable)
    if not final and _tries_again(begun, code, detail):
        # Without its cause, whose text nobody has looked through for secrets.
        raise Unavailable(detail, code=code) from None
    state = begun.graph.plan.nodes[begun.index].failed()
    output = "" if state.blocks else json_of({"error": {"code": code, "detail": detail}})
    return _end(begun, state, output=output, error_code=code, error_detail=detail, final=final)


def _tries_again(begun: _Begun, code: str, detail: str) -> bool:
    """Note that a try has failed; return whether another one is to follow. One that was cut off
    from outside has not failed: the next process tries again."""
    with transaction.atomic(durable=True):
        execution = execution_lock(begun.execution.pk)
        node = NodeRun.objects.filter(execution=execution, index=begun.index).first()
        if execution.has_ended or node is None:
            return False
        if code != CUT_OFF:
            node.failures += 1
            node.save(update_fields=["failures"])
        if node.failures >= begun.graph.attempts(begun.index):
            return False
        said = f"{code}: {detail}"
        events_add(execution, [(node.node_id, "try_failed", said)], at=timezone.now())
        process.save(PROCESS, execution)
    return True


def _end(begun: _Begun, state: NodeState, **columns: Any) -> NodeChange:
    """Write the end of a node, if it has none yet."""
    with transaction.atomic(durable=True):
        execution = execution_lock(begun.execution.pk)
        node = NodeRun.objects.filter(execution=execution, index=begun.index).first()
        if execution.has_ended or node is None:
            return NodeChange(begun.index, NodeStatus.CANCELLED)
        if node.status in _ENDED:
            return _change(node)
        _close(execution, node, state, timezone.now(), **columns)
        failpoint("node_end.uncommitted")
        return _change(node)


def _close(
    execution: Execution, node: NodeRun, state: NodeState, at: datetime, **columns: Any
) -> None:
    node.status, node.outcome, node.ended_at = state.status, state.outcome, at
    for name, value in columns.items():
        setattr(node, name, value)
    node.save()
    metrics.count([node])
    events_add(execution, [(node.node_id, f"node_{node.status}", node.error_code)], at=at)
    execution.done += 1
    process.save(PROCESS, execution, "done")


def _change(node: NodeRun) -> NodeChange:
    return NodeChange(node.index, NodeStatus(node.status), Outcome(node.outcome))


#: Nodes that this module runs.
TYPES = (NodeType.API_CALL, NodeType.WEBHOOK, NodeType.DATABASE, NodeType.AI_AGENT)
