"""P4: payment events with a workflow each, from the stream to the row ÷ bare workflows of one
remote activity.

    python -m benchmarks.p4 [events] [rounds]

Ours is the product from end to end: consumer, intake, admission (PAYMENTS_MAX_OPEN at a time),
outbox, relay, rules, two scores of the simulated inference service, row.
"""

import asyncio
import itertools
import sys
import time
from dataclasses import dataclass

import psycopg
from redis import Redis
from temporalio.client import Client

from benchmarks import bare
from benchmarks.bench import Bench
from benchmarks.payment_events import events_of, kept
from benchmarks.testbed import Goal, Stand, compare, stand, until

BENCH = Bench(
    goal="P4",
    title="Payment events with a workflow each against bare workflows of one activity",
    domain="payments",
    quick=("30", "1"),
    seconds=43,
    quick_seconds=21,
)
GOAL = Goal("P4", must=0.4, reach=0.6)
EVENTS, ROUNDS, BARE = 300, 2, 300
#: Enough that every process has done everything once.
WARM_UP = 50
_numbers = itertools.count()


def main() -> int:
    """Prints the line; 1 when what must be reached is missed."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with stand() as one, asyncio.Runner() as runner:
        one.run("worker", "relay", "simulators", "consumer")
        one.command("bare", [sys.executable, "-m", "benchmarks.bare"])
        with psycopg.connect(one.postgres.url, autocommit=True) as connection:
            sides = _Sides(one, runner, connection, events)
            sides.warm_up()
            result = compare(
                GOAL,
                ours=sides.events,
                reference=sides.bare,
                unit="events/s",
                rounds=rounds,
                warm_up=False,
            )
    return int(result.word == "MISSED")


@dataclass
class _Sides:
    """What is measured, each in events a second."""

    stand: Stand
    runner: asyncio.Runner
    connection: psycopg.Connection
    number: int

    def __post_init__(self) -> None:
        self.client = self.runner.run(Client.connect(self.stand.temporal.address))

    def warm_up(self) -> None:
        """A small round of both, not measured."""
        self.bare()
        self._sent(min(self.number, WARM_UP))

    def bare(self) -> float:
        name, sagas = f"p4-{next(_numbers)}", min(self.number, BARE)
        return self.runner.run(bare.throughput(self.client, sagas=sagas, steps=1, name=name))

    def events(self) -> float:
        """From the first message until the database has all rows."""
        return self._sent(self.number)

    def _sent(self, number: int) -> float:
        values, before = events_of(number), kept(self.connection)
        began = time.perf_counter()
        with Redis.from_url(self.stand.env["REDIS_URL"]) as redis:
            pipeline = redis.pipeline(transaction=False)
            for value in values:
                pipeline.xadd("payments.normalized", {"value": value})
            pipeline.execute()
        until(
            lambda: kept(self.connection) >= before + number,
            seconds=180,
            every=0.05,
            what=f"{number} events\n{self.stand.processes[0].tail(20)}",
        )
        return number / (time.perf_counter() - began)


if __name__ == "__main__":
    sys.exit(main())
