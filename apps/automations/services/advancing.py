"""Runs the nodes of an execution that need nothing but the database, many in one transaction, and
ends the execution when all of its nodes have ended."""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.automations import metrics
from apps.automations.contracts import (
    PLAIN,
    ExecutionStatus,
    NodeStatus,
    NodeType,
    Outcome,
)
from apps.automations.contracts.graph import COMPLETED, NodeState, Progress
from apps.automations.contracts.messages import Advanced, NodeChange
from apps.automations.definition import LONGEST_DELAY
from apps.automations.expressions import conditions, paths, templates
from apps.automations.expressions.errors import Failed
from apps.automations.models import Execution, NodeRun
from apps.automations.services.ending import execution_finish
from apps.automations.services.inputs import Inputs
from apps.automations.services.people import approval_ask, asked_of
from apps.automations.services.rows import (
    Event,
    Graph,
    changes_between,
    events_add,
    execution_lock,
    graph_of,
    node_row,
    nodes_put,
    row_save,
    stored_of,
)
from apps.automations.values import json_of
from apps.common.errors import DomainError, Invalid, Unavailable
from apps.common.failpoints import failpoint
from apps.common.language import filled
from apps.common.language import lazy as _

#: One call ends after so many nodes, or so many seconds, and says that there are more: queries and
#: signals wait for it.
MOST_NODES = 100
MOST_SECONDS = 0.5


def execution_advance(*, row_id: UUID | str, as_of: datetime) -> Advanced:
    """Run nodes that are ready, end delays that are over, write down what is skipped or blocked,
    and end the execution when all its nodes have ended; return what has changed.

    No-op for an execution that has ended: its status says so. Killed before the commit it has done
    nothing; called again it goes on from the rows. Raises NotFound.
    """
    with transaction.atomic(durable=True):
        execution = execution_lock(row_id)
        if execution.has_ended:
            return ended_of(execution)
        step = _Step(execution, as_of)
        step.end_delays()
        step.run()
        step.write()
        failpoint("execution_advance.uncommitted")
        changes = step.changes
        if step.progress.finished:
            end = execution_finish(execution, step.graph, step.progress, as_of=as_of)
            return replace(end, changes=(*changes, *end.changes))
        return Advanced(ExecutionStatus(execution.status), changes, step.more)


def ended_of(execution: Execution) -> Advanced:
    """Return how an execution has ended."""
    return Advanced(
        ExecutionStatus(execution.status), code=execution.error_code, detail=execution.error_detail
    )


@dataclass
class _Step:
    """One call of `execution_advance`, under the lock of its execution."""

    execution: Execution
    as_of: datetime
    graph: Graph = field(init=False)
    progress: Progress = field(init=False)
    more: bool = False

    def __post_init__(self) -> None:
        self.graph = graph_of(self.execution)
        stored = stored_of(self.execution, self.graph)
        self._before, self._waited = list(stored.states), stored.waiting
        self._tries, self._waking = stored.tries, stored.waking
        self.progress = Progress(self.graph.plan, stored.states)
        self._inputs = Inputs(
            self.execution.pk, self.execution.given, self.graph, self.progress.states
        )
        #: What began or ended here. What is skipped or blocked gets its row in `write`.
        self._rows: dict[int, NodeRun] = {}
        self._events: list[Event] = []

    @property
    def changes(self) -> tuple[NodeChange, ...]:
        """What this call has changed, and what was waiting when it began: a person may have
        decided meanwhile."""
        return changes_between(self._before, self.progress.states, self._waking, self._waited)

    def end_delays(self) -> None:
        """End the delays that are over."""
        due = [index for index, at in self._waking.items() if at <= self.as_of]
        rows = NodeRun.objects.filter(execution=self.execution, index__in=due)
        for index, began in rows.order_by("index").values_list("index", "started_at"):
            self._end_delay(index, began)

    def run(self) -> None:
        """Run what is ready, and what becomes ready by it, within the limits of one call."""
        ends, left = time.monotonic() + MOST_SECONDS, MOST_NODES
        while wave := [i for i in self.progress.ready if self.graph.type(i) in PLAIN][:left]:
            together = self._load(wave)
            for index in wave:
                self._run(index, loaded=together)
                left -= 1
                if time.monotonic() > ends:
                    left = 0
                    break
        self.more = any(self.graph.type(i) in PLAIN for i in self.progress.ready)

    def write(self) -> None:
        """Write rows, events and the status of the execution."""
        states = self.progress.states
        changed = [i for i, old in enumerate(self._before) if old != states[i]]
        for index in changed:
            if index not in self._rows:
                self._note(index, ended_at=self.as_of)
        rows = [self._rows[index] for index in sorted(self._rows)]
        nodes_put(rows)
        metrics.count(rows)
        events_add(self.execution, self._events, at=self.as_of)
        status, before = _status_of(self.progress), self.execution.status
        self.execution.status, self.execution.done = status, self.progress.done
        # What ends the execution writes it then.
        if (changed or status != before) and not self.progress.finished:
            row_save(self.execution, "done", *(["status"] if status != before else []))

    # --- one node ---------------------------------------------------------------------------------
    def _load(self, wave: list[int]) -> bool:
        """Read what all of them need, if that is not too much at once."""
        try:
            self._inputs.load(wave)
        except Invalid:
            return False
        return True

    def _run(self, index: int, *, loaded: bool) -> None:
        try:
            if not loaded:
                self._inputs.load([index])
            self._evaluate(index, self.graph.data[index], self._inputs.of(index))
        except Unavailable:
            raise
        except DomainError as refused:
            self._fail(index, refused)

    def _evaluate(self, index: int, data: dict[str, Any], values: dict[str, Any]) -> None:
        match self.graph.type(index):
            case NodeType.CONDITION:
                answer = conditions.evaluate(data["condition"], values)
                self._complete(index, answer, Outcome.TRUE if answer else Outcome.FALSE)
            case NodeType.TRANSFORM:
                self._complete(index, _mapped(data["mapping"], values))
            case NodeType.DELAY:
                self._begin_delay(
                    index, _seconds(templates.filled_in(data["delay_seconds"], values))
                )
            case NodeType.APPROVAL:
                self._ask(index, data, values)

    def _complete(self, index: int, output: Any, outcome: Outcome = Outcome.SUCCESS) -> None:
        text = json_of(output)
        self._inputs.put(index, output)
        self.progress.settle(index, NodeState(NodeStatus.COMPLETED, outcome))
        self._note(index, tried=1, started_at=self.as_of, ended_at=self.as_of, output=text)

    def _fail(self, index: int, refused: DomainError) -> None:
        state = self.graph.plan.nodes[index].failed()
        code, detail = refused.code[:60], refused.recorded[:5000]
        output = ""
        if not state.blocks:
            error = {"error": {"code": code, "detail": detail}}
            self._inputs.put(index, error)
            output = json_of(error)
        self.progress.settle(index, state)
        self._note(
            index,
            detail=code,
            tried=1,
            failures=1,
            started_at=self.as_of,
            ended_at=self.as_of,
            output=output,
            error_code=code,
            error_detail=detail,
            final=True,
        )

    def _ask(self, index: int, data: dict[str, Any], values: dict[str, Any]) -> None:
        number = self._tries.get(index, 0) + 1
        # What the approvals refuse undoes what they have written, and fails the node.
        with transaction.atomic():
            request_id = approval_ask(
                self.execution,
                self.graph,
                index,
                asked_of(data, values),
                number=number,
                as_of=self.as_of,
            )
        self.progress.begin(index, NodeStatus.WAITING)
        self._note(
            index,
            detail=str(request_id),
            tried=1,
            started_at=self.as_of,
            request_id=request_id,
        )

    # --- delays -----------------------------------------------------------------------------------
    def _begin_delay(self, index: int, seconds: float) -> None:
        wake_at = self.as_of + timedelta(seconds=seconds)
        if wake_at <= self.as_of:
            self._complete(index, _delayed(self.as_of, self.as_of))
            return
        self.progress.begin(index, NodeStatus.WAITING)
        self._waking[index] = wake_at
        self._note(
            index,
            detail=wake_at.isoformat(),
            tried=1,
            started_at=self.as_of,
            wake_at=wake_at,
        )

    def _end_delay(self, index: int, began: datetime | None) -> None:
        del self._waking[index]
        output = _delayed(began or self.as_of, self.as_of)
        self._inputs.put(index, output)
        self.progress.settle(index, COMPLETED)
        self._note(index, started_at=began, ended_at=self.as_of, output=json_of(output))

    # --- rows -------------------------------------------------------------------------------------
    def _note(self, index: int, *, detail: str = "", tried: int = 0, **fields: Any) -> None:
        """Keep the node's row and event, with the state that it has now."""
        state = self.progress.states[index]
        self._rows[index] = node_row(
            self.execution,
            self.graph,
            index,
            status=state.status,
            outcome=state.outcome,
            tries=self._tries.get(index, 0) + tried,
            **fields,
        )
        self._events.append((self.graph.ids[index], f"node_{state.status}", detail))


# --- helpers --------------------------------------------------------------------------------------
def _mapped(mapping: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    steps = paths.Steps()
    return {name: paths.evaluate(text, values, steps) for name, text in mapping.items()}


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Failed(_("A delay is a number of seconds."))
    if not 0 <= value <= LONGEST_DELAY:
        raise Failed(filled(_("A delay has 0 to {most} seconds."), most=LONGEST_DELAY))
    return float(value)


def _delayed(began: datetime, ended: datetime) -> dict[str, Any]:
    seconds = round((ended - began).total_seconds(), 3)
    return {"delayed_seconds": seconds, "resumed_at": ended.isoformat()}


def _status_of(progress: Progress) -> ExecutionStatus:
    """Return the status of an execution that has not ended: it waits when nothing else is left to
    do now."""
    statuses = [state.status for state in progress.states]
    busy = NodeStatus.RUNNING in statuses or progress.ready or progress.finished
    return ExecutionStatus.RUNNING if busy else ExecutionStatus.WAITING
