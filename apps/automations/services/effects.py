"""Nodes with an effect: begun, tried, and ended; done once for each key."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.automations.contracts import NodeStatus, Outcome
from apps.automations.contracts.graph import COMPLETED, NodeState
from apps.automations.contracts.messages import NodeChange
from apps.automations.models import Execution, NodeRun
from apps.automations.nodes import EFFECTS
from apps.automations.nodes.call import Call
from apps.automations.secrets import Secrets
from apps.automations.services.effect_rows import COUNTING, Begun, try_begin, try_end
from apps.automations.services.inputs import Inputs
from apps.automations.services.rows import (
    PROCESS,
    Graph,
    events_add,
    execution_lock,
    graph_by_id,
)
from apps.automations.values import json_of
from apps.common.correlation import get_logger
from apps.common.errors import DomainError, Invalid, Unavailable
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process

logger = get_logger(__name__)

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
    pk, graph = process.id_of(PROCESS, row_id), graph_by_id(row_id)
    begun = try_begin(pk, graph, index, at=timezone.now())
    if isinstance(begun, NodeChange):
        return begun
    failpoint("node_try.begun")
    tried = _Try(pk, graph, index, begun)
    try:
        text = tried.run(stopped)
    except DomainError as error:
        return tried.fail(error)
    failpoint("node_try.answered")
    return tried.end(COMPLETED, output=text)


@dataclass(frozen=True)
class _Try:
    """One try of a node of an execution."""

    row_id: UUID
    graph: Graph
    index: int
    begun: Begun

    def run(self, stopped: Callable[[], bool]) -> str:
        """Have the effect; return the node's output as JSON. Raises DomainError."""
        call = Call(
            data=self.graph.data[self.index],
            values=self._values(),
            key=f"{self.begun.workflow_id}:{self.graph.ids[self.index]}",
            seconds=self.graph.timeout(self.index),
            secrets=Secrets(),
            stopped=_Look(self.row_id, stopped).stopped,
            number=self.begun.number,
        )
        kind = self.graph.type(self.index)
        try:
            output = EFFECTS[kind](call)
        except DomainError:
            raise
        except Exception as error:
            # A defect of ours must not be tried for ever: the node fails, and the log says why.
            logger.exception("automations.node_broke", node_type=str(kind))
            raise Invalid(_("The node could not be run."), code="node_broke") from error
        return json_of(output)

    def fail(self, error: DomainError) -> NodeChange:
        """Write the failure of the try. Raises Unavailable if another try is to follow."""
        code, detail = error.code[:60], error.recorded[:5000]
        final = not isinstance(error, Unavailable)
        if not final and self._is_tried_again(code, detail):
            # Without its cause: a history shows causes too.
            raise Unavailable(detail, code=code) from None
        state = self.graph.plan.nodes[self.index].failed()
        output = "" if state.blocks else json_of({"error": {"code": code, "detail": detail}})
        return self.end(state, output=output, error_code=code, error_detail=detail, final=final)

    def end(self, state: NodeState, **columns: Any) -> NodeChange:
        """Write the end of the node, if it has none yet."""
        with transaction.atomic(durable=True):
            change = try_end(
                self.row_id, self.graph, self.index, state, at=timezone.now(), **columns
            )
            failpoint("node_end.uncommitted")
        COUNTING.node_ended(self.row_id)
        return change

    def _values(self) -> dict[str, Any]:
        """Return what the node's expressions may name. Raises Invalid `input_too_large`."""
        states: dict[int, NodeState] = {}
        if sources := self.graph.sources(self.index):
            rows = NodeRun.objects.filter(execution=self.row_id, index__in=sources)
            for place, status, outcome in rows.values_list("index", "status", "outcome"):
                states[place] = NodeState(NodeStatus(status), Outcome(outcome))
        inputs = Inputs(self.row_id, json.loads(self.begun.params), self.graph, states)
        inputs.load([self.index])
        return inputs.of(self.index)

    def _is_tried_again(self, code: str, detail: str) -> bool:
        """Note that the try has failed; return whether another one is to follow. One that was cut
        off from outside has not failed: the next process tries again."""
        with transaction.atomic(durable=True):
            execution = execution_lock(self.row_id)
            node = NodeRun.objects.filter(execution=execution, index=self.index).first()
            if execution.has_ended or node is None:
                return False
            if code != CUT_OFF:
                node.failures += 1
                node.save(update_fields=["failures"])
            if node.failures >= self.graph.attempts(self.index):
                return False
            said = f"{code}: {detail}"
            events_add(execution, [(node.node_id, "try_failed", said)], at=timezone.now())
            process.save(PROCESS, execution)
        return True


class _Look:
    """Tells whether a call under way is to be cut off, without asking the database all the time."""

    def __init__(self, row_id: UUID, stopped: Callable[[], bool]) -> None:
        self._open = Execution.objects.unsettled().filter(pk=row_id)
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
