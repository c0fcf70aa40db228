"""The nodes of an execution as its pages show them, and what they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from apps.automations.contracts import NodeStatus, NodeType
from apps.automations.models import Execution, NodeRun
from apps.automations.pictures import WORDS
from apps.automations.services.inputs import Inputs
from apps.automations.services.rows import Graph, graph_of, progress_of


@dataclass(frozen=True)
class NodeLine:
    """A node of an execution, begun or not. `pk`: its place in the definition, from 0."""

    pk: int
    id: str
    type: NodeType
    status: NodeStatus
    run: NodeRun | None = None

    @property
    def what(self) -> str:
        """Return what it does, in words."""
        return str(WORDS[self.type])

    @property
    def tries(self) -> int:
        """Return how often it was tried."""
        return self.run.tries if self.run else 0

    @property
    def seconds(self) -> float | None:
        """Return how long it took; None until it has ended, if it never began, and of one that was
        computed in a step with others."""
        run = self.run
        if run is None or run.started_at is None or run.ended_at is None:
            return None
        return (run.ended_at - run.started_at).total_seconds() or None

    @property
    def error_code(self) -> str:
        """Return the code of its error."""
        return self.run.error_code if self.run else ""

    @property
    def error_detail(self) -> str:
        """Return its error."""
        return self.run.error_detail if self.run else ""

    @property
    def version(self) -> str:
        """Return what changes when the node does."""
        return f"{self.status}-{self.tries}-{self.error_code}"


def node_lines(execution: Execution, graph: Graph, places: Sequence[int]) -> list[NodeLine]:
    """Return the nodes at these places, without what they gave. One query."""
    rows = NodeRun.objects.filter(execution=execution, index__in=places).defer("output")
    runs = {run.index: run for run in rows}
    return [_line(graph, place, runs.get(place)) for place in places]


def node_line(execution: Execution, graph: Graph, place: int) -> NodeLine:
    """Return the node at this place, with what it gave."""
    return _line(graph, place, NodeRun.objects.filter(execution=execution, index=place).first())


def read_by(execution: Execution, place: int) -> dict[str, Any]:
    """Return what the node's expressions can read: `inputs`, `nodes` and `params`.

    Raises Invalid `input_too_large`.
    """
    graph = graph_of(execution)
    states = progress_of(execution, graph).states
    inputs = Inputs(execution.pk, execution.given, graph, states)
    inputs.load([place])
    return inputs.of(place)


def _line(graph: Graph, place: int, run: NodeRun | None) -> NodeLine:
    status = NodeStatus(run.status) if run else NodeStatus.PENDING
    return NodeLine(place, graph.ids[place], graph.type(place), status, run)
