"""Graphs in a few characters: `graph("c>a:true c>b:false a>j b>j", c=condition("true"))`."""

import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Node = dict[str, Any]


def node(type: str = "transform", **data: Any) -> Node:
    """Return a node without its id; a transform of nothing unless said otherwise."""
    if type == "transform":
        data.setdefault("mapping", {})
    return {"type": type, "data": data}


def condition(text: str, **data: Any) -> Node:
    return node("condition", condition=text, **data)


def transform(**mapping: str) -> Node:
    return node(mapping=mapping)


def delay(seconds: Any, **data: Any) -> Node:
    return node("delay", delay_seconds=seconds, **data)


def approval(title: str = "Sign this", group: str = "reviewer", **data: Any) -> Node:
    return node("approval", title=title, group=group, **data)


def failing(**data: Any) -> Node:
    """A node that fails for good, and needs nobody else for it."""
    return condition("inputs.nothing_of_the_kind == 1", **data)


def call(url: str = "https://example.com/", **data: Any) -> Node:
    return node("api_call", url=url, **data)


def graph(edges: str = "", /, **nodes: Node) -> dict[str, Any]:
    """Return the definition with these edges (`a>b`, `a>b:label`); a name alone is a node without
    edges. Nodes stand in the order of their first mention."""
    names: dict[str, None] = {}
    drawn = []
    for part in edges.split():
        ends, _, label = part.partition(":")
        names.update(dict.fromkeys(re.split(">", ends)))
        if ">" in ends:
            source, target = ends.split(">")
            edge = {"id": f"e{len(drawn)}", "source": source, "target": target}
            drawn.append({**edge, "label": label} if label else edge)
    names.update(dict.fromkeys(nodes))
    return {
        "name": "Graph",
        "nodes": [{"id": name, **nodes.get(name, node())} for name in names],
        "edges": drawn,
    }


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    """Hold that what runs inside takes fewer bytes than this at any time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes"


def short(value: object) -> str:
    """Return a name for a test of this value: bombs are long."""
    return ascii(value)[:24]


def printed_alike(script: str) -> str:
    """Return what the script prints, which must be the same under two hash seeds."""
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    return printed.pop()
