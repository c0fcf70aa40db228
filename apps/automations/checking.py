"""Everything that is wrong with a definition, at once: its shape, its graph, its expressions."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import ValidationError

from apps.automations import shape_errors
from apps.automations.contracts import (
    MOST_EDGES,
    MOST_NODES,
    NodeType,
    OnError,
    Outcome,
    outcomes_of,
)
from apps.automations.contracts.graph import Plan, PlanEdge, PlanNode
from apps.automations.database.problems import problems_of
from apps.automations.definition import Definition
from apps.automations.expressions.errors import NotAllowed
from apps.automations.expressions.of_nodes import expressions_in
from apps.automations.nodes.configured import refused_here
from apps.common.language import filled
from apps.common.language import lazy as _

#: More of them help nobody; the last one says how many there are.
MOST_ISSUES = 500
#: Cycles that are told one by one.
MOST_CYCLES = 20

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Issue:
    """What is wrong and where: the id of the node or edge if it has one, and the path in the
    document as a JSON pointer (RFC 6901)."""

    code: str
    detail: str
    path: str = ""
    node: str | None = None
    edge: str | None = None
    hint: str = ""

    def as_json(self) -> dict[str, str | None]:
        """Return the issue with its texts in the language of whoever asks."""
        return {
            name: value if value is None else str(value) for name, value in asdict(self).items()
        }


def issues_kept(rows: Iterable[dict[str, Any]]) -> list[Issue]:
    """Return the issues that a version was stored with."""
    return [Issue(**row) for row in rows]


@dataclass
class _Found:
    """Issues with where they are, to be told in the order of the document."""

    document: dict[str, Any]
    issues: list[tuple[Path, Issue]] = field(default_factory=list)

    def add(self, code: str, path: Path, detail: str, hint: str = "") -> None:
        node = edge = None
        match path:
            case ("nodes", int(number), *_):
                node = _id_of(self.document["nodes"][number])
            case ("edges", int(number), *_):
                edge = _edge_name(self.document["edges"][number])
        self.issues.append((path, Issue(code, detail, pointer(path), node, edge, hint)))


def issues_of(document: Any) -> list[Issue]:
    """Return what is wrong with a definition, in the order of the document. None: it can run."""
    if not isinstance(document, dict):
        return [Issue("wrong_type", _("A definition is an object with nodes and edges."))]
    found = _Found(document)
    if _too_large(found):
        return [issue for _path, issue in found.issues]
    try:
        Definition.model_validate(document)
    except ValidationError as error:
        for path, told in shape_errors.told(error):
            found.add(told.code, path, told.detail, told.hint)
    graph = _Graph(document)
    _ids(graph, found)
    _edges(graph, found)
    _unreachable(graph, found, but=_cycles(graph, found))
    _expressions(graph, found)
    _site(graph, found)
    return _in_order(found.issues)


def plan_of(document: dict[str, Any]) -> Plan:
    """Return the plan of a definition without issues."""
    graph = _Graph(document)
    return Plan(
        nodes=tuple(PlanNode(node.type, node.on_error) for node in graph.nodes if node.type),
        edges=tuple(
            PlanEdge(edge.source, edge.target, edge.outcome)
            for edge in graph.edges
            if edge.outcome is not None
        ),
    )


def pointer(path: Path) -> str:
    """Return the path as a JSON pointer."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


# --- the graph, as far as it can be read ----------------------------------------------------------
@dataclass(frozen=True)
class _GraphNode:
    at: int
    id: str | None
    type: NodeType | None
    on_error: OnError
    data: dict[str, Any]


@dataclass(frozen=True)
class _GraphEdge:
    """An edge between nodes that are there, each by its first with that id; its outcome, or None
    if its source takes no such edge."""

    at: int
    source: int
    target: int
    outcome: Outcome | None


class _Graph:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.nodes = [_node(at, raw) for at, raw in enumerate(_list(document, "nodes"))]
        self.raw_edges = [
            (at, raw) for at, raw in enumerate(_list(document, "edges")) if isinstance(raw, dict)
        ]
        self.places: dict[str, int] = {}
        for node in self.nodes:
            if node.id is not None:
                self.places.setdefault(node.id, node.at)
        self.edges = [edge for at, raw in self.raw_edges if (edge := self._edge(at, raw))]

    def _edge(self, at: int, raw: dict[str, Any]) -> _GraphEdge | None:
        ends = [
            self.places.get(end) if isinstance(end := raw.get(name), str) else None
            for name in ("source", "target")
        ]
        source, target = ends
        if source is None or target is None:
            return None
        node = self.nodes[source]
        outcome: Outcome | None = Outcome.SUCCESS
        if node.type is not None:
            outcome = _outcome(label_of(raw), outcomes_of(node.type, node.on_error))
        return _GraphEdge(at, source, target, outcome)


def label_of(edge: dict[str, Any]) -> str:
    """Return the label by which an edge is taken, in lower case: its `sourceHandle`, else its
    `label`; empty for neither."""
    for name in ("sourceHandle", "label"):
        text = edge.get(name)
        if isinstance(text, str) and text.strip():
            return text.strip().casefold()
    return ""


def _outcome(label: str, possible: tuple[Outcome, ...]) -> Outcome | None:
    if not label:
        return possible[0]
    return next((one for one in possible if one == label), None)


def _node(at: int, raw: Any) -> _GraphNode:
    raw = raw if isinstance(raw, dict) else {}
    data = raw.get("data")
    data = data if isinstance(data, dict) else {}
    return _GraphNode(
        at,
        _id_of(raw),
        _member_of(NodeType, raw.get("type")),
        _member_of(OnError, data.get("on_error")) or OnError.FAIL,
        data,
    )


def _member_of(kind: Any, value: Any) -> Any:
    return next((one for one in kind if one == value), None) if isinstance(value, str) else None


def _list(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []


def _id_of(raw: Any) -> str | None:
    value = raw.get("id") if isinstance(raw, dict) else None
    return value if isinstance(value, str) else None


def _edge_name(raw: Any) -> str | None:
    if not isinstance(raw, dict):
        return None
    ends = raw.get("source"), raw.get("target")
    arrow = f"{ends[0]}>{ends[1]}" if all(isinstance(end, str) for end in ends) else None
    return _id_of(raw) or arrow


# --- checks ---------------------------------------------------------------------------------------
def _too_large(found: _Found) -> bool:
    for name, most in (("nodes", MOST_NODES), ("edges", MOST_EDGES)):
        if (count := len(_list(found.document, name))) > most:
            found.add(
                "too_large",
                (name,),
                filled(
                    _("A definition has at most {most} {name}; this one has {count}."),
                    most=most,
                    name=name,
                    count=count,
                ),
            )
    return bool(found.issues)


def _ids(graph: _Graph, found: _Found) -> None:
    counts = Counter(node.id for node in graph.nodes if node.id is not None)
    for node in graph.nodes:
        if node.id is not None and counts[node.id] > 1 and graph.places[node.id] != node.at:
            found.add(
                "duplicate_id",
                ("nodes", node.at, "id"),
                filled(_("Another node is called {id} already."), id=node.id),
                _("Give each node an id of its own; edges and expressions name nodes by it."),
            )


def _edges(graph: _Graph, found: _Found) -> None:
    for at, raw in graph.raw_edges:
        for name in ("source", "target"):
            end = raw.get(name)
            if isinstance(end, str) and end not in graph.places:
                found.add(
                    "dangling_edge",
                    ("edges", at, name),
                    filled(_("There is no node {id}."), id=end[:100]),
                )
    for edge in graph.edges:
        if edge.source == edge.target:
            found.add(
                "self_edge",
                ("edges", edge.at),
                filled(
                    _("{id} leads to itself: it would wait for its own end."),
                    id=graph.nodes[edge.source].id,
                ),
            )
        if edge.outcome is None:
            _unknown_label(graph, edge, found)


def _unknown_label(graph: _Graph, edge: _GraphEdge, found: _Found) -> None:
    node, raw = graph.nodes[edge.source], graph.document["edges"][edge.at]
    possible = outcomes_of(node.type or NodeType.TRANSFORM, node.on_error)
    known = ", ".join(one for one in possible if one is not Outcome.SUCCESS)
    label = label_of(raw)
    found.add(
        "unknown_label",
        ("edges", edge.at, "sourceHandle" if raw.get("sourceHandle") else "label"),
        filled(
            _("{id} never takes an edge with the label {label}."), id=node.id, label=label[:100]
        ),
        filled(_("Its edges have no label, or {known}."), known=known)
        if known
        else _('Its edges have no label; with "on_error": "branch" one of them may be error.'),
    )


def _cycles(graph: _Graph, found: _Found) -> set[int]:
    """Tell each cycle once, with its path; return the nodes in them. A node that leads to itself is
    told as that."""
    within: set[int] = set()
    before: dict[int, list[int]] = {node.at: [] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source != edge.target and edge.source not in before[edge.target]:
            before[edge.target].append(edge.source)
    for _count in range(MOST_CYCLES):
        try:
            TopologicalSorter(before).prepare()
            break
        except CycleError as error:
            cycle: list[int] = error.args[1]
        names = " → ".join(str(graph.nodes[at].id) for at in cycle)
        at = next(e.at for e in graph.edges if (e.source, e.target) == (cycle[-2], cycle[-1]))
        found.add(
            "cycle",
            ("edges", at),
            filled(_("The nodes wait for each other: {names}."), names=names[:1000]),
            _("Leave one of these edges out. A graph runs each node once."),
        )
        before[cycle[-1]].remove(cycle[-2])
        within.update(cycle)
    return within


def _unreachable(graph: _Graph, found: _Found, *, but: set[int]) -> None:
    """Tell the nodes that wait for a cycle, `but` those that are in one."""
    children: dict[int, list[int]] = {}
    has_parent = set()
    for edge in graph.edges:
        if edge.source != edge.target:
            children.setdefault(edge.source, []).append(edge.target)
            has_parent.add(edge.target)
    reached = {node.at for node in graph.nodes if node.at not in has_parent}
    waiting = list(reached)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    for node in graph.nodes:
        if node.at not in reached and node.at not in but:
            found.add(
                "unreachable",
                ("nodes", node.at),
                filled(_("No way leads to {id} from a node that begins."), id=node.id),
            )


def _site(graph: _Graph, found: _Found) -> None:
    """What this site does not send, or does not let anybody read or write."""
    for node in graph.nodes:
        for place, code, detail, hint in refused_here(node.type, node.data):
            found.add(code, ("nodes", node.at, *place), detail, hint)
        for problem in problems_of(node.data) if node.type is NodeType.DATABASE else ():
            path: Path = ("nodes", node.at, "data", *problem.path)
            found.add(problem.code, path, problem.detail, problem.hint)


def _expressions(graph: _Graph, found: _Found) -> None:
    for node in graph.nodes:
        for place, named_by in expressions_in(node.type, node.data):
            path: Path = ("nodes", node.at, "data", *place)
            try:
                named = named_by()
            except NotAllowed as error:
                found.add(error.code, path, error.detail)
                continue
            for id in named:
                if id not in graph.places:
                    found.add(
                        "unknown_node",
                        path,
                        filled(_("The expression names a node {id}; there is none."), id=id[:100]),
                    )


def _in_order(issues: list[tuple[Path, Issue]]) -> list[Issue]:
    """Return the issues in the order of the document: what concerns all of it, nodes, edges."""
    sections = ("nodes", "edges")

    def place(found: tuple[Path, Issue]) -> tuple[int, int]:
        path = found[0]
        if len(path) < 2 or path[0] not in sections or not isinstance(path[1], int):
            return (0, 0)
        return (1 + sections.index(str(path[0])), path[1])

    told = [issue for _path, issue in sorted(issues, key=place)]
    if len(told) <= MOST_ISSUES:
        return told
    more = filled(_("There are {count} more."), count=len(told) - MOST_ISSUES)
    return [*told[:MOST_ISSUES], Issue("more_issues", more)]
