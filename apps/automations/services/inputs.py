"""What the expressions of an execution's nodes read: outputs of other nodes, loaded when needed."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import Length

from apps.automations.contracts import NodeStatus
from apps.automations.contracts.graph import Progress, States
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
    """What expressions of one execution's nodes may name. Outputs never change, so each is read
    once. `states`: of the nodes by place; those of the parents of the nodes that are asked for."""

    def __init__(self, row_id: UUID, params: Any, graph: Graph, states: States) -> None:
        self._row_id, self._params, self._graph, self._states = row_id, params, graph, states
        self._outputs: dict[int, Any] = {}

    def put(self, index: int, output: Any) -> None:
        """Note the output of a node that ends now."""
        self._outputs[index] = output

    def load(self, indices: Iterable[int]) -> None:
        """Read what these nodes need, in two queries. Raises Invalid `input_too_large`."""
        wanted = {
            place
            for index in indices
            for place in self._graph.sources(index)
            if place not in self._outputs
        }
        if not wanted:
            return
        rows = NodeRun.objects.filter(
            execution=self._row_id, index__in=wanted, status__in=_GIVING
        ).exclude(output="")
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
        for index, output in rows.values_list("index", "output"):
            self._outputs[index] = json.loads(output)

    def of(self, index: int) -> dict[str, Any]:
        """Return the values that the node's expressions may name; `load` has read them."""
        ids, outputs, parents = self._graph.ids, self._outputs, self._graph.plan.parents[index]
        if not parents:
            inputs: Any = self._params
        elif len(parents) == 1:
            inputs = outputs.get(next(iter(parents)))
        else:
            taken = self._graph.plan.taken(index, self._states)
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
