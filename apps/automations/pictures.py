"""A definition drawn: its nodes and edges as shapes that a template writes as SVG. A draft with
issues is drawn as far as it can be read, an execution with the states of its nodes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from apps.automations.checking import label_of
from apps.automations.contracts import NodeStatus, NodeType
from apps.automations.layout import Layout, collapsed, is_drawn, laid_out
from apps.common.language import lazy as _
from apps.web.tones import words_of

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


#: The symbol of each status. What has not begun has none.
ICONS = {
    NodeStatus.RUNNING: "running",
    NodeStatus.WAITING: "wait",
    NodeStatus.COMPLETED: "check",
    NodeStatus.FAILED: "cross",
    NodeStatus.SKIPPED: "skip",
    NodeStatus.BLOCKED: "seal",
    NodeStatus.CANCELLED: "stop",
}


@dataclass(frozen=True)
class Course:
    """How an execution goes, by places in the definition: the statuses of its nodes, and whether
    each edge was taken. `address`: of its page, below which the nodes have theirs."""

    statuses: Sequence[NodeStatus]
    taken: Sequence[bool]
    address: str


@dataclass(frozen=True)
class Box:
    """A node. `wrong`: it has an issue. `status`: in an execution, whose page of the node is at
    `href`."""

    place: int
    id: str
    shown: str
    what: str
    x: float
    y: float
    width: float
    height: float
    wrong: bool = False
    status: NodeStatus | None = None
    href: str = ""

    @property
    def css(self) -> str:
        """Return the classes of the node's shape."""
        if self.status:
            return f"node is-{self.status}"
        return "node is-wrong" if self.wrong else "node"

    @property
    def title(self) -> str:
        """Return the whole id, what the node does, and its status."""
        said = f"{self.id}: {self.what}"
        return f"{said}, {words_of(self.status)}" if self.status else said

    @property
    def icon(self) -> str:
        """Return the symbol of its status, which stands before its words."""
        return ICONS.get(self.status, "") if self.status else ""

    @property
    def icon_x(self) -> float:
        """Return the x of the symbol: letters of this size are some six pixels wide."""
        return self.middle - 3 * len(words_of(self.status)) - 16

    @property
    def icon_y(self) -> float:
        """Return the y of the symbol."""
        return self.second_line - 11

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
    """An edge: the path, and its label with its place. `taken`: an execution has gone there."""

    path: str
    label: str
    x: float
    y: float
    taken: bool = False


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
    """Nodes that may run side by side, of a graph with too many to draw. `statuses`: how many have
    which, in an execution."""

    number: int
    count: int
    statuses: tuple[tuple[NodeStatus, int], ...] = ()


@dataclass(frozen=True)
class Drawing:
    """The graph from left to right and from top to bottom; or its layers, if it is too large."""

    pictures: tuple[Picture, ...] = ()
    layers: tuple[Layer, ...] = ()


def drawn(
    document: Any, *, wrong: frozenset[str] = frozenset(), course: Course | None = None
) -> Drawing:
    """Return the definition's drawing. `wrong`: ids of nodes with issues. `course`: that of an
    execution, of a definition without any."""
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
        return Drawing(layers=tuple(_layer(n, one, course) for n, one in enumerate(found, 1)))
    if not nodes:
        return Drawing()
    return Drawing(
        pictures=tuple(
            _picture(nodes, ids, edges, labels, wrong, course, down=down) for down in (False, True)
        )
    )


def _picture(
    nodes: list[dict[str, Any]],
    ids: list[str],
    edges: list[tuple[int, int]],
    labels: list[str],
    wrong: frozenset[str],
    course: Course | None,
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
                place,
                id,
                id if len(id) <= MOST_SHOWN else f"{id[: MOST_SHOWN - 1]}…",
                _what(node),
                box.x,
                box.y,
                box.width,
                box.height,
                wrong=id in wrong,
                status=course.statuses[place] if course else None,
                href=f"{course.address}nodes/{place}/" if course else "",
            )
            for place, (node, id, box) in enumerate(zip(nodes, ids, layout.boxes, strict=True))
        ),
        edges=tuple(
            Edge(line.path, label, *line.label, taken=course.taken[place] if course else False)
            for place, (line, label) in enumerate(zip(layout.lines, labels, strict=True))
        ),
    )


def _layer(number: int, places: list[int], course: Course | None) -> Layer:
    if course is None:
        return Layer(number, len(places))
    counts = Counter(course.statuses[place] for place in places)
    return Layer(
        number,
        len(places),
        tuple((status, counts[status]) for status in NodeStatus if counts[status]),
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
