"""A drawing of nodes that edges connect: where the nodes stand, and how the edges run between them.
Standard library only.

It has two axes: *along* the edges and *across* them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from apps.automations.drawing.across import Across, Spacing
from apps.automations.drawing.curves import Point
from apps.automations.drawing.layers import Edge, layered


class Route(NamedTuple):
    """The points that the line of an edge passes from its source to its target, in the direction of
    the axis along; and where its label is on the way to the second of them, from 0 to 1."""

    points: list[Point]
    label: float


class Part:
    """A drawing of nodes that edges connect.

    `nodes`: where each begins, along and across. `routes`: by edge; None from a node to itself.
    `length` and `breadth`: of all, along and across.
    """

    def __init__(self, count: int, edges: Sequence[Edge], spacing: Spacing) -> None:
        graph = layered(count, edges, spacing.most_in_layer)
        across = Across(count, graph, spacing)
        self._across, self._chains, self._along = across, graph.chains, spacing.along
        self._begins = [0]
        for layer in graph.layers[:-1]:
            # Steep edges need room, or they look like a wall.
            steep = min(60, int(across.steepest(layer)) // 8)
            self._begins.append(self._begins[-1] + spacing.along + spacing.between_layers + steep)
        self.length = self._begins[-1] + spacing.along
        low, high = across.extent()
        self._low, self.breadth = low, high - low
        self.nodes = [
            (self._begins[across.rank[node]], across.middle[node] - spacing.across / 2 - low)
            for node in range(count)
        ]
        self.routes = [
            None if source == target else self._route(number, source)
            for number, (source, target) in enumerate(edges)
        ]

    def _route(self, number: int, source: int) -> Route:
        chain, across = self._chains[number], self._across
        points: list[Point] = []
        for at, point in enumerate(chain):
            begin = self._begins[across.rank[point]]
            place = across.middle[point] - self._low
            if at == 0:
                points.append((begin + self._along, place + across.uppers[number]))
            elif at == len(chain) - 1:
                points.append((begin, place + across.lowers[number]))
            else:
                points += [(begin, place), (begin + self._along, place)]
        if chain[0] == source:
            return Route(points, across.upper_labels[number])
        return Route(points[::-1], across.lower_labels[number])
