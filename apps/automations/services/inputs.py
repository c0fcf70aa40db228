"""What the expressions of an execution's nodes read: outputs of other nodes, loaded when needed."""

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Sum
from django.db.models.functions import Length

from apps.automations.contracts import NodeStatus
from apps.automations.contracts.graph import Progress
from apps.automations.models import Execution, NodeRun
from apps.automations.services.rows import Graph
from apps.automations.values import MOST_BYTES, TooLarge, json_of, too_large
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

#: The most characters of outputs that the nodes of one step read together.
MOST_CHARACTERS = 10_000_000
#: Nodes whose outputs others may read: a failure that was passed on has its error for one.
_GIVING = (NodeStatus.COMPLETED, NodeStatus.FAILED)


class Inputs:
    """Outputs of one execution's nodes, by place. They never change, so each is read once."""

    def __init__(self, execution: Execution, graph: Graph, progress: Progress) -> None:
        self._execution, self._graph, self._progress = execution, graph, progress
        self._params = execution.given
        self._outputs: dict[int, Any] = {}

    def put(self, index: int, output: Any) -> None:
        """Note the output of a node that ends now."""
        self._outputs[index] = output

    def load(self, indices: Iterable[int]) -> None:
        """Read what these nodes need, in two queries. Raises Invalid `input_too_large`."""
        wanted = {
            place
            for index in indices
            for place in (*self._progress.taken(index), *self._graph.named(index))
            if place not in self._outputs and self._progress.states[place].status in _GIVING
        }
        if not wanted:
            return
        rows = NodeRun.objects.filter(execution=self._execution, index__in=wanted)
        size = rows.aggregate(size=Sum(Length("output")))["size"] or 0
        if size > MOST_CHARACTERS:
            raise Invalid(
                filled(
                    _("It would read {size} characters of other nodes; {most} are permitted."),
                    size=size,
                    most=MOST_CHARACTERS,
                ),
                code="input_too_large",
            )
        for index, output in rows.exclude(output="").values_list("index", "output"):
            self._outputs[index] = json.loads(output)

    def of(self, index: int) -> dict[str, Any]:
        """Return the values that the node's expressions may name; `load` has read them."""
        ids, outputs = self._graph.ids, self._outputs
        parents = self._progress.parents(index)
        if not parents:
            inputs: Any = self._params
        elif len(parents) == 1:
            inputs = outputs.get(parents[0])
        else:
            taken = self._progress.taken(index)
            inputs = {ids[place]: outputs[place] for place in taken if place in outputs}
        return {
            "inputs": inputs,
            "nodes": {ids[p]: outputs[p] for p in self._graph.named(index) if p in outputs},
            "params": self._params,
        }


def result_of(execution: Execution, graph: Graph, progress: Progress) -> str:
    """Return the result of a run as JSON: the output of its only sink, or those of the completed
    sinks by id. In place of one that is too large stands its error."""
    sinks = progress.sinks
    done = [i for i in sinks if progress.states[i].status is NodeStatus.COMPLETED]
    rows = NodeRun.objects.filter(execution=execution, index__in=done).order_by("index")
    if len(sinks) == 1:
        return rows.values_list("output", flat=True).first() or "{}"
    size = rows.aggregate(size=Sum(Length("output")))["size"] or 0
    try:
        if size > MOST_BYTES:
            raise too_large()
        outputs = rows.values_list("node_id", "output")
        return json_of({node_id: json.loads(output) for node_id, output in outputs})
    except TooLarge as refused:
        return json_of({"error": {"code": refused.code, "detail": refused.recorded}})
