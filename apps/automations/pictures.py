"""A definition drawn: its nodes and edges as shapes that a template writes as SVG. A draft with
issues is drawn as far as it can be read."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apps.automations.checking import label_of
from apps.automations.contracts import NodeType
from apps.automations.layout import Layout, collapsed, is_drawn, laid_out
from apps.common.language import lazy as _

#: Characters of an id that fit into a box.
MOST_SHOWN = 18
#: What a node of each type does, in the box of its shape.
WORDS = {
    NodeType.API_CALL: _("HTTP call"),
    NodeType.CONDITION: _("condition"),
    NodeType.TRANSFORM: _("transformation"),
    NodeType.DELAY: _("delay"),
    NodeType.DATABASE: _("database"),
    NodeType.WEBHOOK: _("webhook"),
    NodeType.AI_AGENT: _("question to a model"),
    NodeType.APPROVAL: _("approval"),
}


@dataclass(frozen=True)
class Box:
    """A node. `wrong`: it has an issue."""

    id: str
    shown: str
    what: str
    x: float
    y: float
    width: float
    height: float
    wrong: bool

    @property
    def css(self) -> str:
        """Return the classes of the node's shape."""
        return "node is-wrong" if self.wrong else "node"

    @property
    def middle(self) -> float:
        """Return the x of its middle."""
        return self.x + self.width / 2

    @property
    def first_line(self) -> float:
        """Return the y of the line with its id."""
        return self.y + self.height / 2 - 3

    @property
    def second_line(self) -> float:
        """Return the y of the line that says what it does."""
        return self.first_line + 16


@dataclass(frozen=True)
class Edge:
    """An edge: the path, and its label with its place."""

    path: str
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """One direction of the graph; sizes in pixels."""

    css: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Layer:
    """Nodes that may run side by side, of a graph with too many to draw."""

    number: int
    count: int


@dataclass(frozen=True)
class Drawing:
    """The graph from left to right and from top to bottom; or its layers, if it is too large."""

    pictures: tuple[Picture, ...] = ()
    layers: tuple[Layer, ...] = ()


def drawn(document: Any, *, wrong: frozenset[str]) -> Drawing:
    """Return the definition's drawing. `wrong`: ids of nodes with issues."""
    nodes = _members(document, "nodes")
    ids = [str(node.get("id", "")) for node in nodes]
    places: dict[str, int] = {}
    for index, id in enumerate(ids):
        places.setdefault(id, index)
    edges, labels = [], []
    for edge in _members(document, "edges"):
        ends = [places.get(str(edge.get(end))) for end in ("source", "target")]
        if ends[0] is not None and ends[1] is not None:
            edges.append((ends[0], ends[1]))
            labels.append(label_of(edge)[:MOST_SHOWN])
    if not is_drawn(len(nodes), edges):
        found = collapsed(len(nodes), edges)
        return Drawing(layers=tuple(Layer(n, len(one)) for n, one in enumerate(found, 1)))
    if not nodes:
        return Drawing()
    return Drawing(
        pictures=tuple(
            _picture(nodes, ids, edges, labels, wrong, down=down) for down in (False, True)
        )
    )


def _picture(
    nodes: list[dict[str, Any]],
    ids: list[str],
    edges: list[tuple[int, int]],
    labels: list[str],
    wrong: frozenset[str],
    *,
    down: bool,
) -> Picture:
    layout = _layout(len(nodes), tuple(edges), down)
    return Picture(
        css="drawing-down" if down else "drawing-across",
        width=layout.width,
        height=layout.height,
        boxes=tuple(
            Box(
                id,
                id if len(id) <= MOST_SHOWN else f"{id[: MOST_SHOWN - 1]}…",
                _what(node),
                box.x,
                box.y,
                box.width,
                box.height,
                id in wrong,
            )
            for node, id, box in zip(nodes, ids, layout.boxes, strict=True)
        ),
        edges=tuple(
            Edge(line.path, label, *line.label)
            for line, label in zip(layout.lines, labels, strict=True)
        ),
    )


@lru_cache(maxsize=64)
def _layout(count: int, edges: tuple[tuple[int, int], ...], down: bool) -> Layout:
    """An open page draws the same graph again and again, and a large one takes a while."""
    return laid_out(count, edges, down=down)


def _what(node: dict[str, Any]) -> str:
    """Return what the node does; of an unknown type, its name."""
    type = node.get("type")
    known = WORDS.get(type) if isinstance(type, str) else None  # type: ignore[call-overload]
    return str(known or type or "")[:24]


def _members(document: Any, name: str) -> list[dict[str, Any]]:
    """Return those members of the list that can be drawn at all."""
    value = document.get(name) if isinstance(document, dict) else None
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
