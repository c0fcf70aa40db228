"""P5: reservations on one budget row ÷ the same with SELECT FOR UPDATE first.

    python -m benchmarks.p5 [seconds] [rounds]

Both sides write the ledger line and move the balance in one transaction, on 16 connections to the
same PostgreSQL with its commits on disk, against the same row. The reference locks the row, reads,
decides and writes, as one would by hand; ours is the statement of `budget_reserve`.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from uuid import UUID

import psycopg

from benchmarks.bench import Bench
from benchmarks.testbed import ROUNDS, Goal, compare, stand
from deploy.local.servers import Postgres

BENCH = Bench(
    goal="P5",
    title="Reservations on one budget against SELECT FOR UPDATE",
    domain="interventions",
    quick=("0.5", "1"),
    seconds=63,
    quick_seconds=15,
)
GOAL = Goal("P5", must=1.3, reach=5.0)
THREADS = 16
SECONDS = 3.0
#: More than a side reserves in a second; each intervention is reserved for once.
RATE = 5_000
AMOUNT = Decimal("1.00")

_INTERVENTIONS = """
INSERT INTO interventions_intervention (id, policy_id, budget_id, amount, currency, target,
        justification, region, requested_by_id, idempotency_key, request_digest, status,
        workflow_id, executor_id, error_code, error_detail, receipt, version, created_at)
    SELECT gen_random_uuid(), %s, %s, 1, 'NGN', 'T', 'J', '', %s, '', '', 'pending',
        'w-' || n, '', '', '', '', 1, now()
    FROM generate_series(1, %s) n
    RETURNING id
"""
_LOCK = "SELECT total, reserved, spent FROM interventions_budget WHERE id = %s FOR UPDATE"
_LINE = """
INSERT INTO interventions_budgetentry (budget_id, intervention_id, kind, amount, key, at)
VALUES (%s, %s, 'reserve', %s, %s, now())
"""
_BALANCE = "UPDATE interventions_budget SET reserved = %s, version = version + 1 WHERE id = %s"

Reserve = Callable[[psycopg.Connection, UUID], None]


def main() -> int:
    """Prints the line; 1 when what it must reach is missed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with stand(database_only=True) as base:
        base.django()
        postgres = base.postgres
        # Both sides in all rounds, and once before to warm up.
        number = int(RATE * seconds * 2 * (rounds + 1))
        with bench(postgres, number) as (budget, waiting):
            result = compare(
                GOAL,
                ours=lambda: rate(postgres, ours(budget), waiting, seconds),
                reference=lambda: rate(postgres, reference(budget), waiting, seconds),
                unit="reservations/s",
                rounds=rounds,
            )
    return int(result.word == "MISSED")


def ours(budget: int) -> Reserve:
    """The product's own statement, with the parameters that it is given there."""
    from apps.interventions.services.balances import MOVE, Move

    def reserve(connection: psycopg.Connection, intervention: UUID) -> None:
        move = Move("reserve", AMOUNT, f"{intervention}:reserve", intervention=intervention)
        row = connection.execute(MOVE, move.parameters(budget)).fetchone()
        if row is None or row[1] is None:
            raise SystemExit("a reservation of ours was refused")

    return reserve


def reference(budget: int) -> Reserve:
    """Lock, read, decide, write."""

    def reserve(connection: psycopg.Connection, intervention: UUID) -> None:
        with connection.transaction():
            row = connection.execute(_LOCK, [budget]).fetchone()
            assert row is not None
            total, reserved, spent = row
            if reserved + spent + AMOUNT > total:
                raise SystemExit("a reservation of the reference was refused")
            key = f"{intervention}:reserve"
            connection.execute(_LINE, [budget, intervention, AMOUNT, key])
            connection.execute(_BALANCE, [reserved + AMOUNT, budget])

    return reserve


def rate(postgres: Postgres, reserve: Reserve, waiting: Iterator[UUID], seconds: float) -> float:
    """Reservations a second, all connections together."""
    counts = [0] * THREADS
    begun = threading.Barrier(THREADS + 1)
    over = threading.Event()
    lock = threading.Lock()

    def work(number: int, connection: psycopg.Connection) -> None:
        begun.wait()
        while not over.is_set():
            with lock:
                intervention = next(waiting)
            reserve(connection, intervention)
            counts[number] += 1

    with ExitStack() as stack:
        threads = [
            threading.Thread(
                target=work,
                args=(number, stack.enter_context(postgres.connect(postgres.database))),
                daemon=True,
            )
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        begun.wait()
        began = time.perf_counter()
        over.wait(seconds)
        over.set()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)


# --- the rows ------------------------------------------------------------------------------------
@contextmanager
def bench(postgres: Postgres, number: int) -> Iterator[tuple[int, Iterator[UUID]]]:
    """The hot budget, and interventions to reserve for; at the end the ledger must explain it."""
    from apps.accounts.models import User
    from apps.interventions.models import Budget, Policy

    user = User.objects.create(username="bench")
    policy = Policy.objects.create(code="bench", name="Bench", currency="NGN")
    budget = Budget.objects.create(
        code="bench", name="Bench", currency="NGN", total=Decimal("1000000000.00")
    )
    with postgres.connect(postgres.database) as connection:
        made = connection.execute(
            _INTERVENTIONS, [policy.pk, budget.pk, user.pk, number]
        ).fetchall()
        connection.execute("VACUUM ANALYZE")
    yield budget.pk, iter([one for (one,) in made])
    with postgres.connect(postgres.database) as connection:
        sums = connection.execute(
            "SELECT b.reserved, (SELECT sum(amount) FROM interventions_budgetentry e"
            " WHERE e.budget_id = b.id) FROM interventions_budget b"
        ).fetchone()
    if sums is None or sums[0] != sums[1]:
        raise SystemExit(f"the ledger does not explain the balance: {sums}")


if __name__ == "__main__":
    sys.exit(main())
