"""P9: graphs of a hundred nodes ÷ bare workflows of a hundred activities that do nothing.

    python -m benchmarks.p9 [graphs] [rounds]

P9 has nodes that need nothing but the database, against local activities in a row; P9b has calls to
a program outside, against remote activities side by side. Ours is the product from end to end: row,
audit entry and outbox of the request, relay, a row and an event for each node, the result.
"""

import asyncio
import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from temporalio.client import Client

from benchmarks import bare
from benchmarks.bench import Bench
from benchmarks.testbed import Goal, Stand, compare, stand, until

BENCH = Bench(
    goal="P9",
    title="Graphs of a hundred nodes against bare workflows of a hundred activities",
    domain="automations",
    quick=("2", "1"),
    seconds=47,
    quick_seconds=23,
)
PLAIN = Goal("P9", must=0.5, reach=0.8)
#: Each call also costs the program that answers it, on the same processors; the reference does
#: nothing.
CALLS = Goal("P9b", must=0.4, reach=0.6)
GRAPHS, ROUNDS, NODES = 8, 2, 100
#: Graphs open at once, and bare workflows.
IN_FLIGHT = 10
_numbers = itertools.count()


def main() -> int:
    """Prints both lines; 1 when what must be reached is missed."""
    graphs = int(sys.argv[1]) if len(sys.argv) > 1 else GRAPHS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with stand() as one, asyncio.Runner() as runner:
        # As many slots as the reference has threads: the ratio is about what a node costs, not
        # about how many run at once.
        slots = int(one.env["WORKER_THREADS"])
        env = {"TEMPORAL_MAX_CONCURRENT_ACTIVITIES": f"{slots}", "WORKER_THREADS": f"{3 * slots}"}
        one.run("worker", "relay", "simulators", env=env)
        one.command("bare", [sys.executable, "-m", "benchmarks.bare"])
        one.django()
        sides = _Sides(one, runner)
        words = []
        for goal, document, local in (
            (PLAIN, plain(), True),
            (CALLS, calls(one.ports["INFERENCE_PORT"]), False),
        ):
            sides.warm_up(document, local=local)
            result = compare(
                goal,
                ours=partial(sides.graphs, document, graphs),
                reference=partial(sides.bare, graphs, local=local),
                unit="graphs/s",
                rounds=rounds,
                warm_up=False,
            )
            words.append(result.word)
    return int("MISSED" in words)


def plain() -> dict[str, Any]:
    """Ten layers of ten nodes that give nothing."""
    nodes = [
        {"id": f"n{number}", "type": "transform", "data": {"mapping": {}}}
        for number in range(NODES)
    ]
    return {"name": "A hundred nodes", "nodes": nodes, "edges": _edges()}


def calls(port: int) -> dict[str, Any]:
    """A hundred calls, side by side."""
    data = {"url": f"http://127.0.0.1:{port}/echo"}
    nodes = [{"id": f"n{number}", "type": "api_call", "data": data} for number in range(NODES)]
    return {"name": "A hundred calls", "nodes": nodes, "edges": []}


def _edges() -> list[dict[str, str]]:
    pairs = [(number - 10, number) for number in range(10, NODES)]
    return [{"id": f"e{b}", "source": f"n{a}", "target": f"n{b}"} for a, b in pairs]


@dataclass
class _Sides:
    """What is measured, each in workflows a second."""

    stand: Stand
    runner: asyncio.Runner

    def __post_init__(self) -> None:
        from apps.accounts.models import User

        self.client = self.runner.run(Client.connect(self.stand.temporal.address))
        self.by = User.objects.get(username="admin")

    def warm_up(self, document: Any, *, local: bool) -> None:
        """A small round of both, not measured."""
        self.bare(2, local=local)
        self.graphs(document, 2)

    def bare(self, number: int, *, local: bool) -> float:
        """From the first start to the last end."""
        name = f"p9-{next(_numbers)}"
        measured = bare.many_steps(
            self.client, runs=number, steps=NODES, local=local, in_flight=IN_FLIGHT, name=name
        )
        return self.runner.run(measured)

    def graphs(self, document: Any, number: int) -> float:
        """From the first request until the database says that all are completed."""
        from django.db import connections
        from django.utils import timezone

        from apps.automations.models import Execution
        from apps.automations.services.requesting import execution_request

        def run(_number: int) -> None:
            try:
                row, _new = execution_request(
                    document=document, by=self.by, via="command", as_of=timezone.now()
                )
                done = Execution.objects.filter(pk=row.pk, status="completed")
                until(
                    done.exists,
                    seconds=180,
                    every=0.2,
                    what=f"a graph\n{self.stand.processes[0].tail(20)}",
                )
            finally:
                # A thread that ends would keep its connection from the pool.
                connections.close_all()

        began = time.perf_counter()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            list(pool.map(run, range(number)))
        return number / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
