"""Where the points of a layered graph stand across its edges: the last step of Sugiyama's method.
Standard library only, and the same for the same graph.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, starmap
from math import ceil, floor, inf

from apps.automations.drawing.curves import CLOSE_LABELS, LABEL
from apps.automations.drawing.layers import Layered

#: The neighbour of a point, how far beside it the point stands if the edge is straight, and how
#: much that counts.
Tie = tuple[int, float, float]

#: Sweeps over all layers. The first ones look at one side only: what is straight stays straight.
SWEEPS, SWEEPS_OF_ONE_SIDE = 14, 4
#: Points that all the other sweeps together move, at most: large drawings have fewer sweeps.
MOST_MOVED = 30_000
#: How much it counts that an edge is straight which is the only one on both its sides; others count
#: 1. The pieces of an edge that passes several layers are such edges.
ALONE = 8.0
#: How much it counts that a point stands in the middle of the drawing.
PULL = 0.03
#: Pixels of a node's side that are round, where no edge ends.
CORNERS = 12
#: Edges whose ends would be closer to each other than this come in at one point.
CLOSEST_ENDS = 10


@dataclass(frozen=True)
class Spacing:
    """Pixels: of a node, along and across; along, between layers; across, between nodes, between
    edges that pass them, between the ends of edges at a node, between their labels; of an edge from
    a node to itself; and across, for the whole drawing if its layers allow it."""

    along: int
    across: int
    between_layers: int
    between_nodes: int
    between_edges: int
    between_ends: int
    between_labels: int
    loop: int
    whole: int | None = None

    @property
    def most_in_layer(self) -> int | None:
        """How many nodes have room beside each other."""
        if self.whole is None:
            return None
        gap = self.between_nodes
        return max(1, (self.whole + gap) // (self.across + gap))


class Across:
    """Where points stand across: `middle` by point. `uppers` and `lowers`: by edge, how far beside
    the middle of its upper and of its lower node it ends."""

    def __init__(self, count: int, graph: Layered, spacing: Spacing) -> None:
        self.count, self.layers, self.spacing = count, graph.layers, spacing
        points = sum(len(layer) for layer in graph.layers)
        self.rank, self.place = [0] * points, [0] * points
        for rank, layer in enumerate(graph.layers):
            for place, point in enumerate(layer):
                self.rank[point], self.place[point] = rank, place
        self.half = [spacing.across / 2] * count + [0.0] * (points - count)
        for chain in graph.chains:
            if chain[0] == chain[-1]:
                self.half[chain[0]] = spacing.across / 2 + spacing.loop
        self.uppers, self.upper_labels = self._ends(graph.chains, 0, 1)
        self.lowers, self.lower_labels = self._ends(graph.chains, -1, -2)
        self.ups: list[list[Tie]] = [[] for _ in range(points)]
        self.downs: list[list[Tie]] = [[] for _ in range(points)]
        self._tie(graph.chains)
        self.middle = [0.0] * points
        self._offsets = [self._packed(layer) for layer in graph.layers]
        self._most = inf
        if spacing.whole is not None:
            packed = (
                self.half[layer[0]] + offsets[-1] + self.half[layer[-1]]
                for layer, offsets in zip(self.layers, self._offsets, strict=True)
            )
            self._most = max(spacing.whole, *packed) / 2
        for number in range(min(SWEEPS, SWEEPS_OF_ONE_SIDE + MOST_MOVED // (1 + points))):
            self._sweep(number)
        self._align()
        # Whole pixels: between them the border of a box is blurred.
        for node in range(count):
            self.middle[node] = round(self.middle[node] - spacing.across / 2) + spacing.across / 2
        for number, chain in enumerate(graph.chains):
            self._straighten(number, chain)

    def extent(self) -> tuple[int, int]:
        """Return where the drawing begins and ends, in whole pixels."""
        points = range(len(self.middle))
        low = min(self.middle[point] - self.half[point] for point in points)
        return floor(low), ceil(max(self.middle[point] + self.half[point] for point in points))

    def steepest(self, layer: list[int]) -> float:
        """Return how far across an edge goes from this layer to the next one, at most."""
        return max(
            (
                abs(self.middle[point] - beside - self.middle[lower])
                for point in layer
                for lower, beside, _weight in self.downs[point]
            ),
            default=0,
        )

    # --- what belongs together -------------------------------------------------------------------
    def _ends(
        self, chains: list[list[int]], end: int, after: int
    ) -> tuple[list[float], list[float]]:
        """Return, by edge, how far beside the middle of its node it ends, so that no edges cross
        there, and where its label is on the way from there."""
        spacing = self.spacing
        beside, labels = [0.0] * len(chains), [LABEL] * len(chains)
        edges: list[list[int]] = [[] for _ in range(self.count)]
        for number, chain in enumerate(chains):
            if chain[0] != chain[-1]:
                edges[chain[end]].append(number)
        for numbers in edges:
            numbers.sort(key=lambda number: self.place[chains[number][after]])
            step = min(spacing.between_ends, (spacing.across - CORNERS) // max(1, len(numbers) - 1))
            for at, number in enumerate(numbers):
                if step < spacing.between_labels and len(numbers) > 1:
                    labels[number] = CLOSE_LABELS[at % 2]
                if end == 0 or step >= CLOSEST_ENDS:
                    beside[number] = step * (at - (len(numbers) - 1) / 2)
        return beside, labels

    def _tie(self, chains: list[list[int]]) -> None:
        pairs = [
            (number, upper, lower)
            for number, chain in enumerate(chains)
            if chain[0] != chain[-1]
            for upper, lower in pairwise(chain)
        ]
        outs = Counter(upper for _number, upper, _lower in pairs)
        ins = Counter(lower for _number, _upper, lower in pairs)
        for number, upper, lower in pairs:
            beside = self.uppers[number] if upper < self.count else 0.0
            beside -= self.lowers[number] if lower < self.count else 0.0
            weight = ALONE if outs[upper] == ins[lower] == 1 else 1.0
            self.downs[upper].append((lower, -beside, weight))
            self.ups[lower].append((upper, beside, weight))

    # --- moving ----------------------------------------------------------------------------------
    def _apart(self, one: int, other: int) -> float:
        """Return how far apart two points beside each other stand, at least."""
        nodes, edges = self.spacing.between_nodes, self.spacing.between_edges
        gap = (nodes, (nodes + edges) / 2, edges)[(one >= self.count) + (other >= self.count)]
        return self.half[one] + self.half[other] + gap

    def _packed(self, layer: list[int]) -> list[float]:
        """Return how far each point stands from the first if all stand as close as they may."""
        return list(accumulate(starmap(self._apart, pairwise(layer)), initial=0.0))

    def _sweep(self, number: int) -> None:
        both = self.ups, self.downs
        sides = (both[number % 2],) if number < SWEEPS_OF_ONE_SIDE else both
        ranks = range(len(self.layers))
        for rank in reversed(ranks) if number % 2 else ranks:
            self._settle(self.layers[rank], self._offsets[rank], sides)

    def _settle(
        self, layer: list[int], offsets: list[float], sides: Sequence[list[list[Tie]]]
    ) -> None:
        """Move the points of a layer as near as they can to where their neighbours want them: the
        least sum of squares that keeps them apart, by pooling adjacent violators."""
        pools: list[tuple[float, float, int]] = []
        for point, offset in zip(layer, offsets, strict=True):
            total, weight, size = -PULL * offset, PULL, 1
            for side in sides:
                for other, beside, counts in side[point]:
                    weight += counts
                    total += counts * (self.middle[other] + beside - offset)
            while pools and pools[-1][0] * weight >= total * pools[-1][1]:
                more, heavier, larger = pools.pop()
                total, weight, size = total + more, weight + heavier, size + larger
            pools.append((total, weight, size))
        low = self.half[layer[0]] - self._most
        high = self._most - self.half[layer[-1]] - offsets[-1]
        firsts = [
            min(max(total / weight, low), high)
            for total, weight, size in pools
            for _ in range(size)
        ]
        for point, first, offset in zip(layer, firsts, offsets, strict=True):
            self.middle[point] = first + offset

    def _room(self, point: int) -> tuple[float, float]:
        """Return between which middles the point can move."""
        layer, at = self.layers[self.rank[point]], self.place[point]
        low, high = self.half[point] - self._most, self._most - self.half[point]
        if at:
            low = max(low, self.middle[layer[at - 1]] + self._apart(layer[at - 1], point))
        if at + 1 < len(layer):
            high = min(high, self.middle[layer[at + 1]] - self._apart(point, layer[at + 1]))
        return low, high

    def _align(self) -> None:
        """Make edges straight that nearly are: down the layers, then up, where none is yet."""
        for ties, layers in ((self.ups, self.layers), (self.downs, self.layers[::-1])):
            for point in (point for layer in layers for point in layer):
                # Between two it stays in the middle.
                if len(ties[point]) != 2 and (ties is self.ups or not self._is_straight(point)):
                    self._align_point(point, ties[point])

    def _is_straight(self, point: int) -> bool:
        middle = self.middle[point]
        return any(self.middle[other] + beside == middle for other, beside, _w in self.ups[point])

    def _align_point(self, point: int, ties: list[Tie]) -> None:
        low, high = self._room(point)
        before = self.middle[point]
        wanted = [
            (other >= self.count, abs(middle - before), middle)
            for other, beside, _weight in ties
            if low <= (middle := self.middle[other] + beside) <= high
        ]
        # Nodes first: an edge that passes can still move.
        for _passes, far, middle in sorted(wanted):
            if far <= self.spacing.between_nodes:
                self.middle[point] = middle
                break

    def _straighten(self, number: int, chain: list[int]) -> None:
        """Let an edge keep its place over as many layers as have room for it there."""
        place = self.middle[chain[0]] + self.uppers[number]
        end = self.middle[chain[-1]] + self.lowers[number]
        inner = chain[1:-1]
        while inner:
            low, high = -inf, inf
            straight: list[int] = []
            for point in inner:
                least, most = self._room(point)
                if straight and max(low, least) > min(high, most):
                    break
                low, high = max(low, least), min(high, most)
                straight.append(point)
            inner = inner[len(straight) :]
            if not inner and not low <= place <= high:
                place = end
            place = min(max(place, low), high)
            for point in straight:
                self.middle[point] = place
