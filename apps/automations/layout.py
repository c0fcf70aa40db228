"""A drawing of a graph, made on the server: layers by Sugiyama's method, each edge round the nodes
between its ends. Standard library only, and the same for the same graph.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from apps.automations.drawing import curves
from apps.automations.drawing.across import Spacing
from apps.automations.drawing.curves import Pixel, Point
from apps.automations.drawing.layers import Edge, parts_of, ranks_of, topological
from apps.automations.drawing.parts import Part

#: Graphs with more nodes or edges are not drawn: `collapsed` says what to show instead.
MOST_DRAWN, MOST_LINES = 150, 600


@dataclass(frozen=True)
class Size:
    """Pixels: of a node; between layers, between the nodes of a layer, between edges that pass
    them, between the ends of edges at a node, and between their labels; of an edge from a node to
    itself; between parts that no edge connects, and around the drawing.

    `window`: the width to which a drawing from top to bottom keeps where it can. Nodes that do not
    fit beside each other then stand in several layers.
    """

    width: int
    height: int
    between_layers: int
    between_nodes: int
    between_edges: int
    between_ends: int
    between_labels: int
    loop: int
    between_parts: int
    margin: int
    window: int | None = None


#: From left to right.
WIDE = Size(
    width=168,
    height=52,
    between_layers=72,
    between_nodes=26,
    between_edges=14,
    between_ends=18,
    between_labels=13,
    loop=20,
    between_parts=52,
    margin=16,
)
#: From top to bottom, on a telephone 390 pixels wide.
NARROW = Size(
    width=144,
    height=52,
    between_layers=48,
    between_nodes=16,
    between_edges=10,
    between_ends=48,
    between_labels=48,
    loop=28,
    between_parts=72,
    margin=8,
    window=358,
)


@dataclass(frozen=True)
class Box:
    """Where a node stands, in pixels from the top left."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Line:
    """Where an edge runs from its source to its target: the path as in `<path d=…>`, and the middle
    of its label."""

    path: str
    label: Pixel


@dataclass(frozen=True)
class Layout:
    """A drawing in pixels: boxes by node, lines by edge."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def is_drawn(count: int, edges: Sequence[Edge]) -> bool:
    """Return whether a graph is small enough for a drawing that somebody can read."""
    return count <= MOST_DRAWN and len(edges) <= MOST_LINES


def collapsed(count: int, edges: Sequence[Edge]) -> list[list[int]]:
    """Return the nodes by layer, of a graph that is not drawn node by node."""
    order, forward = topological(count, edges)
    ranks = ranks_of(order, forward)
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for node, rank in enumerate(ranks):
        layers[rank].append(node)
    return layers


def laid_out(
    count: int, edges: Sequence[Edge], *, size: Size | None = None, down: bool = False
) -> Layout:
    """Return the drawing of the nodes 0 … count - 1, from left to right or `down`.

    Parts that no edge connects stand below each other, nodes without edges last. Of the edges of a
    cycle one is drawn back, against the others. Raises ValueError for what is not `is_drawn`.
    """
    if not is_drawn(count, edges):
        raise ValueError(f"{count} nodes and {len(edges)} edges are not drawn")
    return _Drawing(count, edges, size or (NARROW if down else WIDE), down).layout()


class _Drawing:
    """A drawing as far as it is made, from the top down."""

    def __init__(self, count: int, edges: Sequence[Edge], size: Size, down: bool) -> None:
        self.edges, self.size, self.down = edges, size, down
        self.boxes = [Box(0, 0, size.width, size.height)] * count
        self.lines = [Line("", (0, 0))] * len(edges)
        #: Without the margins.
        self.width = self.height = 0
        between = size.between_layers, size.between_nodes, size.between_edges
        along, across, whole = size.width, size.height, None
        if down:
            along, across = across, along
            whole = size.window and size.window - 2 * size.margin
        self.spacing = Spacing(
            along, across, *between, size.between_ends, size.between_labels, size.loop, whole
        )

    def layout(self) -> Layout:
        """Return the drawing."""
        connected, alone = [], []
        for nodes, numbers in parts_of(len(self.boxes), self.edges):
            if numbers:
                place = {node: at for at, node in enumerate(nodes)}
                ends = [self.edges[number] for number in numbers]
                within = [(place[source], place[target]) for source, target in ends]
                connected.append((nodes, numbers, Part(len(nodes), within, self.spacing)))
            else:
                alone += nodes
        for _nodes, _numbers, part in connected:
            self.width = max(self.width, self._extent(part)[0])
        for nodes, numbers, part in connected:
            self._add(nodes, numbers, part)
        self._add_alone(alone)
        margins = 2 * self.size.margin
        return Layout(
            self.width + margins, self.height + margins, tuple(self.boxes), tuple(self.lines)
        )

    def _extent(self, part: Part) -> Pixel:
        """Return the width and the height of a part."""
        return (part.breadth, part.length) if self.down else (part.length, part.breadth)

    def _next(self) -> int:
        """Return where the next part begins."""
        return self.size.margin + self.height + (self.size.between_parts if self.height else 0)

    def _add(self, nodes: list[int], numbers: list[int], part: Part) -> None:
        size, top = self.size, self._next()
        width, height = self._extent(part)
        # From top to bottom a part stands in the middle.
        left = size.margin + ((self.width - width) // 2 if self.down else 0)

        def place(point: Point) -> Point:
            x, y = reversed(point) if self.down else point
            return left + x, top + y

        for node, begin in zip(nodes, part.nodes, strict=True):
            self.boxes[node] = Box(*curves.pixel(place(begin)), size.width, size.height)
        loops: Counter[int] = Counter()
        for number, route in zip(numbers, part.routes, strict=True):
            if route is None:
                node = nodes.index(self.edges[number][0])
                along, across = part.nodes[node]
                end = along + self.spacing.along, across + self.spacing.across
                drawn = curves.loop(end, self.spacing.along, size.loop, loops[node], place)
                loops[node] += 1
            else:
                drawn = curves.path(route.points, place), curves.label(*route, place)
            self.lines[number] = Line(*drawn)
        self.height = top - size.margin + height

    def _add_alone(self, nodes: list[int]) -> None:
        """Add the nodes without edges, in rows."""
        size, top = self.size, self._next()
        right, below = size.width + size.between_nodes, size.height + size.between_nodes
        columns = max(2 if self.down else 4, (self.width + size.between_nodes) // right)
        for at, node in enumerate(nodes):
            row, column = divmod(at, columns)
            x, y = column * right, top + row * below
            self.boxes[node] = Box(size.margin + x, y, size.width, size.height)
            self.width = max(self.width, x + size.width)
            self.height = y - size.margin + size.height
