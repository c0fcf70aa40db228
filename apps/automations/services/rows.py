"""What the services of executions share: the process, the graph, and the rows of its nodes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.automations.checking import plan_of
from apps.automations.contracts import (
    EXECUTION,
    EXECUTION_WORKFLOW,
    TASK_QUEUE,
    NodeStatus,
    NodeType,
    Outcome,
    Runner,
)
from apps.automations.contracts.graph import NodeState, Plan, Progress
from apps.automations.contracts.messages import NodeChange
from apps.automations.expressions.of_nodes import named_nodes
from apps.automations.models import AutomationVersion, Execution, ExecutionEvent, NodeRun
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import Carrier, Process

#: An event: the node's id, empty for the execution itself, what happened, and more of it.
Event = tuple[str, str, str]

_CARRIER: Carrier[Execution] = Carrier(
    EXECUTION_WORKFLOW,
    lambda execution, again: {"execution_id": execution.workflow_id},
    # Delays of a year, and people; the deadline of what runs is inside the workflow.
    process.WAITING_BACKSTOP,
)


def _needs(execution: Execution) -> Carrier[Execution] | None:
    carried = execution.runner == Runner.ENGINE and not execution.has_ended
    return _CARRIER if carried else None


PROCESS = Process(
    subject=EXECUTION,
    title=_("Execution"),
    noun="execution",
    missing=_("There is no such execution."),
    opens=_("Open the execution"),
    model=Execution,
    queue=TASK_QUEUE,
    url_name="execution",
    carriers=(_CARRIER,),
    needs=_needs,
    open_rows=lambda: Execution.objects.unsettled().filter(runner=Runner.ENGINE),
    own_id=True,
    keeps_id=lambda execution: True,
    list_topics=("executions",),
    shared_topics=("home",),
)

record = partial(process.record, PROCESS)
row_save = partial(process.save, PROCESS)


def execution_lock(row_id: UUID | str) -> Execution:
    """Lock the execution until the end of the transaction. Raises NotFound."""
    return process.locked(PROCESS, row_id)


# --- the definition -------------------------------------------------------------------------------
class Graph:
    """A definition without issues, as the services need it. A node is known by its place."""

    def __init__(self, document: dict[str, Any]) -> None:
        nodes = document["nodes"]
        self.plan: Plan = plan_of(document)
        self.ids: tuple[str, ...] = tuple(node["id"] for node in nodes)
        self.data: tuple[dict[str, Any], ...] = tuple(node["data"] for node in nodes)
        self.places = {id: index for index, id in enumerate(self.ids)}
        self._named: dict[int, tuple[int, ...]] = {}

    def type(self, index: int) -> NodeType:
        """Return what the node does."""
        return self.plan.nodes[index].type

    def timeout(self, index: int) -> float:
        """Return how many seconds a try of the node may take."""
        given = self.data[index].get("timeout_seconds")
        return float(given or settings.TEMPORAL_NODE_TIMEOUT_MINUTES * 60)

    def attempts(self, index: int) -> int:
        """Return how often the node is tried in one attempt of the run."""
        return int(self.data[index].get("attempts") or settings.TEMPORAL_ACTIVITY_MAX_RETRIES)

    def named(self, index: int) -> tuple[int, ...]:
        """Return the nodes that the node's expressions name as `nodes.<id>`."""
        if index not in self._named:
            named = named_nodes(self.type(index), self.data[index])
            self._named[index] = tuple(self.places[id] for id in named)
        return self._named[index]

    def sources(self, index: int) -> tuple[int, ...]:
        """Return the nodes whose outputs this one may read."""
        return (*self.plan.parents[index], *self.named(index))


@lru_cache(maxsize=32)
def _graph(version_id: UUID) -> Graph:
    return Graph(AutomationVersion.objects.only("text").get(pk=version_id).document)


def graph_of(execution: Execution) -> Graph:
    """Return the execution's graph. Versions never change, so a process keeps those it used."""
    return _graph(execution.definition_id)


@lru_cache(maxsize=2048)
def _definition_of(row_id: UUID) -> UUID:
    found = Execution.objects.filter(pk=row_id).values_list("definition_id", flat=True).first()
    if found is None:
        raise process.unknown(PROCESS)
    return found


def graph_by_id(row_id: UUID | str) -> Graph:
    """Return the graph of the execution with this id. Raises NotFound."""
    return _graph(_definition_of(process.id_of(PROCESS, row_id)))


# --- the nodes ------------------------------------------------------------------------------------
#: What a row of a node may change in: a node that failed may run again, in the row that it has.
_CHANGING = (
    *("status", "outcome", "tries", "failures", "output", "error_code", "error_detail"),
    *("final", "started_at", "ended_at", "wake_at", "request_id"),
)


@dataclass(frozen=True)
class Stored:
    """The rows of an execution's nodes by place, without what they gave."""

    states: list[NodeState]
    tries: dict[int, int]
    waking: dict[int, datetime]

    @property
    def waiting(self) -> list[int]:
        """The nodes that wait."""
        waits = NodeStatus.WAITING
        return [index for index, state in enumerate(self.states) if state.status is waits]


def stored_of(execution: Execution, graph: Graph) -> Stored:
    """Return what the rows say. A node without a row is pending."""
    states = [NodeState()] * len(graph.ids)
    tries: dict[int, int] = {}
    waking: dict[int, datetime] = {}
    rows = NodeRun.objects.filter(execution=execution).order_by("index")
    for index, status, outcome, tried, wake_at in rows.values_list(
        "index", "status", "outcome", "tries", "wake_at"
    ):
        states[index] = NodeState(NodeStatus(status), Outcome(outcome))
        tries[index] = tried
        if wake_at is not None and status == NodeStatus.WAITING:
            waking[index] = wake_at
    return Stored(states, tries, waking)


def progress_of(execution: Execution, graph: Graph) -> Progress:
    """Return how far the execution is, by its rows."""
    return Progress(graph.plan, stored_of(execution, graph).states)


def changes_between(
    before: Sequence[NodeState],
    after: Sequence[NodeState],
    waking: Mapping[int, datetime],
    more: Iterable[int] = (),
) -> tuple[NodeChange, ...]:
    """Return the nodes whose state differs, and those in `more`."""
    asked = set(more)
    return tuple(
        NodeChange(index, new.status, new.outcome, waking.get(index))
        for index, (old, new) in enumerate(zip(before, after, strict=True))
        if old != new or index in asked
    )


def node_row(execution: Execution, graph: Graph, index: int, **columns: Any) -> NodeRun:
    """Return a new row of the node, not saved."""
    return NodeRun(
        execution=execution,
        index=index,
        node_id=graph.ids[index],
        type=graph.type(index),
        **columns,
    )


def nodes_put(rows: Iterable[NodeRun]) -> None:
    """Write rows of nodes: new ones, and those that begin or end again."""
    NodeRun.objects.bulk_create(
        list(rows),
        update_conflicts=True,
        unique_fields=["execution", "index"],
        update_fields=_CHANGING,
    )


def events_add(execution: Execution, events: Sequence[Event], *, at: datetime) -> None:
    """Add events to the execution's history."""
    ExecutionEvent.objects.bulk_create(
        ExecutionEvent(
            execution=execution, at=at, node_id=node_id, event=event, detail=detail[:2000]
        )
        for node_id, event, detail in events
    )
