"""Graphs in short: `graph("a>b b>c:true", b=condition("inputs.x == 1"))`."""

from typing import Any


def node(type: str, **data: Any) -> dict[str, Any]:
    return {"type": type, "data": data}


def transform(**mapping: str) -> dict[str, Any]:
    return node("transform", mapping=mapping)


def condition(text: str, **more: Any) -> dict[str, Any]:
    return node("condition", condition=text, **more)


def delay(seconds: Any, **more: Any) -> dict[str, Any]:
    return node("delay", delay_seconds=seconds, **more)


def failing(**more: Any) -> dict[str, Any]:
    """A node that fails for good, without leaving the house."""
    return condition("inputs.nothing_of_the_kind == 1", **more)


def graph(edges: str = "", /, **nodes: dict[str, Any]) -> dict[str, Any]:
    """A definition. Nodes that only the edges name give what they get."""
    drawn = []
    for edge in edges.split():
        ends, _, label = edge.partition(":")
        source, target = ends.split(">")
        drawn.append({"source": source, "target": target, **({"label": label} if label else {})})
    ids = list(dict.fromkeys([*nodes, *(edge[end] for edge in drawn for end in ("source", "target"))]))
    named = [{"id": id, **nodes.get(id, node("transform", mapping={}))} for id in ids]
    edged = [{"id": f"e{n}", **edge} for n, edge in enumerate(drawn)]
    return {"name": "Graph", "nodes": named, "edges": edged}
