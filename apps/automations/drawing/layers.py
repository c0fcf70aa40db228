"""In which layer of a drawing each node stands, and in which order there: the first steps of
Sugiyama's method. Standard library only, and the same for the same graph.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Edge = tuple[int, int]

#: Rounds of sorting, at most, and after how many that bring nothing it ends.
MOST_ROUNDS, MOST_IN_VAIN = 40, 6
#: Points that are sorted, in all rounds together, at most: large drawings have fewer rounds.
MOST_SORTED = 12_000


@dataclass(frozen=True)
class Layered:
    """Points in layers, each layer in its order. The first points are the nodes; the others stand
    where an edge passes a layer, so that it passes between the nodes there.

    `chains`: by edge, the points from its upper end to its lower one, one in each layer.
    """

    layers: list[list[int]]
    chains: list[list[int]]


def topological(count: int, edges: Sequence[Edge]) -> tuple[list[int], list[Edge]]:
    """Return the nodes, each before its children, and the edges in that sense: one that closes a
    cycle, seen from the first node of the definition, is turned round. An edge from a node to
    itself stays as it is."""
    children: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for number, (source, target) in enumerate(edges):
        if source != target:
            children[source].append((target, number))
    forward = list(edges)
    # Nodes whose children are not all visited, and those that are done, last first.
    open_now, visited = [False] * count, [False] * count
    done: list[int] = []
    for root in range(count):
        if visited[root]:
            continue
        visited[root] = open_now[root] = True
        way = [(root, iter(children[root]))]
        while way:
            node, rest = way[-1]
            for child, number in rest:
                if open_now[child]:
                    forward[number] = (child, node)
                elif not visited[child]:
                    visited[child] = open_now[child] = True
                    way.append((child, iter(children[child])))
                    break
            else:
                open_now[node] = False
                done.append(node)
                way.pop()
    return done[::-1], forward


def ranks_of(order: Sequence[int], edges: Sequence[Edge]) -> list[int]:
    """Return the layer of each node, from 0, by the longest path to it. `order` and `edges` as
    `topological` returns them."""
    children = _children(len(order), edges)
    ranks = [0] * len(order)
    for node in order:
        for child in children[node]:
            ranks[child] = max(ranks[child], ranks[node] + 1)
    return ranks


def _children(count: int, edges: Sequence[Edge]) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        if source != target:
            children[source].append(target)
    return children


def parts_of(count: int, edges: Sequence[Edge]) -> list[tuple[list[int], list[int]]]:
    """Return the connected components: their nodes, and the numbers of their edges."""
    beside: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        beside[source].append(target)
        beside[target].append(source)
    part = [-1] * count
    parts: list[tuple[list[int], list[int]]] = []
    for first in range(count):
        if part[first] < 0:
            part[first] = len(parts)
            waiting = [first]
            while waiting:
                for node in beside[waiting.pop()]:
                    if part[node] < 0:
                        part[node] = len(parts)
                        waiting.append(node)
            parts.append(([], []))
        parts[part[first]][0].append(first)
    for number, (source, _target) in enumerate(edges):
        parts[part[source]][1].append(number)
    return parts


def layered(count: int, edges: Sequence[Edge], most: int | None = None) -> Layered:
    """Return the points of a drawing, ordered so that few edges cross. With `most`, no layer has
    more nodes."""
    order, forward = topological(count, edges)
    ranks = ranks_of(order, forward)
    _shorten(ranks, order, forward)
    if most is not None:
        ranks = _spread(ranks, forward, most)
    layers: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for node in range(count):
        layers[ranks[node]].append(node)
    chains = []
    points = count
    for source, target in forward:
        passed = range(ranks[source] + 1, ranks[target])
        chains.append([source, *range(points, points + len(passed)), target])
        for rank in passed:
            layers[rank].append(points)
            points += 1
    return Layered(_Order(layers, chains, points).best(), chains)


def _shorten(ranks: list[int], order: Sequence[int], edges: Sequence[Edge]) -> None:
    """Move nodes with more children than parents to the layer before their first child: their edges
    become shorter."""
    more = [0] * len(ranks)
    for source, target in edges:
        more[source] += 1
        more[target] -= 1
    children = _children(len(ranks), edges)
    for node in reversed(order):
        if more[node] > 0:
            ranks[node] = min(ranks[child] for child in children[node]) - 1


def _spread(ranks: list[int], edges: Sequence[Edge], most: int) -> list[int]:
    """Return other layers, with `most` nodes in each: what was in one layer goes on in the next."""
    children = _children(len(ranks), edges)
    spread, least, filled = [0] * len(ranks), [0] * len(ranks), [0] * len(ranks)
    for node in sorted(range(len(ranks)), key=ranks.__getitem__):
        rank = max(ranks[node], least[node])
        while filled[rank] == most:
            rank += 1
        filled[rank] += 1
        spread[node] = rank
        for child in children[node]:
            least[child] = max(least[child], rank + 1)
    return spread


class _Order:
    """The search for an order of the points in each layer with few crossings."""

    def __init__(self, layers: list[list[int]], chains: list[list[int]], points: int) -> None:
        self.layers = layers
        self.ups: list[list[int]] = [[] for _ in range(points)]
        self.downs: list[list[int]] = [[] for _ in range(points)]
        for chain in chains:
            if chain[0] != chain[-1]:
                for upper, lower in pairwise(chain):
                    self.downs[upper].append(lower)
                    self.ups[lower].append(upper)
        #: Where each point stands in its layer.
        self.place = [0] * points
        for layer in layers:
            self._set(layer)

    def best(self) -> list[list[int]]:
        best, fewest, in_vain = [list(layer) for layer in self.layers], self.crossings(), 0
        rounds = min(MOST_ROUNDS, 2 + MOST_SORTED // (1 + len(self.place)))
        for number in range(rounds):
            if not fewest or in_vain == MOST_IN_VAIN:
                break
            self._sweep(number)
            self._exchange()
            crossings = self.crossings()
            in_vain += 1
            if crossings < fewest:
                best, fewest, in_vain = [list(layer) for layer in self.layers], crossings, 0
        return best

    def crossings(self) -> int:
        """Count how often edges cross, in n log n."""
        count = 0
        for layer in self.layers:
            seen: list[int] = []
            for point in layer:
                for place in self._places(self.downs[point]):
                    at = bisect_right(seen, place)
                    count += len(seen) - at
                    seen.insert(at, place)
        return count

    def _places(self, points: list[int]) -> list[int]:
        places = [self.place[point] for point in points]
        if len(places) > 1:
            places.sort()
        return places

    def _set(self, layer: list[int]) -> None:
        for place, point in enumerate(layer):
            self.place[point] = place

    def _sweep(self, number: int) -> None:
        """Sort each layer by the one above it, then by the one below. Points that are equal keep
        their order; every other time they take the opposite one, which leads out of dead ends."""
        for neighbours, layers in ((self.ups, self.layers[1:]), (self.downs, self.layers[-2::-1])):
            for layer in layers:
                self._sort(layer, neighbours, bool(number % 2))

    def _sort(self, layer: list[int], neighbours: list[list[int]], turned: bool) -> None:
        """Sort by the barycentre of the neighbours; a point without any stays where it is."""
        means = {
            point: sum([self.place[one] for one in near]) / len(near)
            for point in layer
            if (near := neighbours[point])
        }
        moving = sorted(reversed(means) if turned else means, key=means.__getitem__)
        rest = iter(moving)
        layer[:] = [next(rest) if point in means else point for point in layer]
        self._set(layer)

    def _exchange(self) -> None:
        """Exchange points beside each other while fewer edges cross by it."""
        for layer in self.layers:
            ups = {point: self._places(self.ups[point]) for point in layer}
            downs = {point: self._places(self.downs[point]) for point in layer}
            moved = True
            while moved:
                moved = False
                for at in range(len(layer) - 1):
                    one, other = layer[at], layer[at + 1]
                    now = _pairs(ups[one], ups[other]) + _pairs(downs[one], downs[other])
                    if not now:
                        continue
                    if now > _pairs(ups[other], ups[one]) + _pairs(downs[other], downs[one]):
                        layer[at], layer[at + 1] = other, one
                        moved = True
            self._set(layer)


def _pairs(left: list[int], right: list[int]) -> int:
    """Count how often a place on the left is behind one on the right."""
    return sum([bisect_left(right, place) for place in left]) if right else 0
