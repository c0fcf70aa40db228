"""Metrics of nodes that have come to an end, in whatever process ran them."""

from collections.abc import Iterable

from django.db import transaction
from prometheus_client import Counter, Histogram

from apps.automations.models import NodeRun

NODES = Counter(
    "automation_nodes_total",
    "Nodes of automations that have come to an end here.",
    ["type", "status"],
)
SECONDS = Histogram(
    "automation_node_seconds",
    "From a node's first try to its end, waits for people and delays included.",
    ["type"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 300.0, 3600.0),
)


def count(nodes: Iterable[NodeRun]) -> None:
    """Count these nodes once the caller's transaction has committed."""
    ended = [node for node in nodes if node.ended_at is not None]

    def write() -> None:
        for node in ended:
            NODES.labels(str(node.type), str(node.status)).inc()
            if node.started_at is not None and node.ended_at is not None:
                seconds = (node.ended_at - node.started_at).total_seconds()
                SECONDS.labels(str(node.type)).observe(max(seconds, 0.0))

    if ended:
        transaction.on_commit(write)
