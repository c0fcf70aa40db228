"""P3: payment events through the batch lane ÷ COPY of the same rows.

    python -m benchmarks.p3 [events] [rounds]

Ours is the lane from the admission of events that were taken in to their rows: batches of 500, each
with a workflow, checked, scored, kept, and the intake settled. Twice: by a worker that asks for no
scores, so that what is measured is ours alone (P3), and with the scores of the simulated inference
service, asked for in bulk (P3 scored). The reference is a program that has the finished rows in
its memory, and keeps none twice: COPY beside the table and INSERT … ON CONFLICT, 500 a transaction,
into a table with the same indexes.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from benchmarks.bench import Bench
from benchmarks.payment_events import AT_ONCE, events_of, kept, take
from benchmarks.testbed import Goal, Stand, compare, stand, until

BENCH = Bench(
    goal="P3",
    title="Payment events through the batch lane against COPY of their rows",
    domain="payments",
    quick=("1000", "1"),
    seconds=43,
    quick_seconds=22,
)
GOAL = Goal("P3", must=0.08, reach=0.4)
SCORED = Goal("P3 scored", must=0.04, reach=0.16)
EVENTS, ROUNDS = 10_000, 2


def main() -> int:
    """Prints both lines; 1 when what must be reached is missed."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    missed = 0
    with stand() as one:
        lane = {"PAYMENTS_LANE": "batch", "INFERENCE_BULK": "true"}
        one.env |= lane
        one.run("relay", "simulators")
        one.django()
        with psycopg.connect(one.postgres.url, autocommit=True) as connection:
            sides = _Sides(one, connection, events)
            for goal, command in ((GOAL, _unscored()), (SCORED, _scored())):
                worker = one.command(goal.name.replace(" ", "-"), command)
                sides.warm_up()
                result = compare(
                    goal,
                    ours=sides.lane,
                    reference=sides.copy,
                    unit="events/s",
                    rounds=rounds,
                    warm_up=False,
                )
                missed |= result.word == "MISSED"
                worker.kill()
    return int(missed)


@dataclass
class _Sides:
    """What is measured, each in events a second."""

    stand: Stand
    connection: psycopg.Connection
    number: int
    _rows: list[Any] = field(default_factory=list, repr=False)

    def warm_up(self) -> None:
        """A round that is not measured; its rows are those of the reference."""
        self.lane()
        self.connection.execute("DROP TABLE IF EXISTS bench_events, bench_beside")
        self.connection.execute("CREATE TABLE bench_events (LIKE payment_events INCLUDING ALL)")
        self.connection.execute("CREATE TEMP TABLE bench_beside (LIKE payment_events)")
        rows = self.connection.execute(
            "SELECT * FROM payment_events ORDER BY id DESC LIMIT %s", [self.number]
        )
        self._rows = [tuple(map(_written, row)) for row in rows]

    def copy(self) -> float:
        self.connection.execute("TRUNCATE bench_events")
        began = time.perf_counter()
        with self.connection.cursor() as cursor:
            for first in range(0, self.number, AT_ONCE):
                with self.connection.transaction():
                    cursor.execute("TRUNCATE bench_beside")
                    with cursor.copy("COPY bench_beside FROM STDIN") as copy:
                        for row in self._rows[first : first + AT_ONCE]:
                            copy.write_row(row)
                    cursor.execute(
                        "INSERT INTO bench_events OVERRIDING SYSTEM VALUE"
                        " SELECT * FROM bench_beside ON CONFLICT (event_id) DO NOTHING"
                    )
        return self.number / (time.perf_counter() - began)

    def lane(self) -> float:
        """Take the events in while nobody admits; then from the admission to the last row."""
        before = kept(self.connection)
        from apps.common.locks import lock_number
        from apps.payments.services.admission import LOCK

        # Whoever holds it admits; the leader's own transactions ask for it.
        admission = [lock_number(LOCK)]
        self.connection.execute("SELECT pg_advisory_lock(%s)", admission)
        take(events_of(self.number))
        began = time.perf_counter()
        self.connection.execute("SELECT pg_advisory_unlock(%s)", admission)
        until(
            lambda: kept(self.connection) >= before + self.number,
            seconds=180,
            every=0.02,
            what=f"{self.number} events\n{self.stand.processes[-1].tail(20)}",
        )
        return self.number / (time.perf_counter() - began)


def _written(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict) else value


def _scored() -> Sequence[str]:
    return [sys.executable, "manage.py", "runworker"]


def _unscored() -> Sequence[str]:
    return [sys.executable, "-m", "benchmarks.unscored", "runworker"]


if __name__ == "__main__":
    sys.exit(main())
