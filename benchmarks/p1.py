"""P1: intervention sagas ÷ bare sagas of seven remote activities that do nothing.

    python -m benchmarks.p1 [sagas] [rounds]

Ours is the product: rows, ledger, audit entries, executor over HTTP, feature store, notifications,
live messages. Both sides are started by the same client, as fast as it may. The second line counts
from the first request to the last end, with outbox, relay and the approval's workflow before each
saga: two workflows against one, so it has no goal of its own.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from temporalio.client import Client

from benchmarks import bare
from benchmarks.bench import Bench
from benchmarks.testbed import ROUNDS, Goal, Stand, compare, stand, until

BENCH = Bench(
    goal="P1",
    title="A whole saga against a bare one of seven empty steps",
    domain="interventions",
    quick=("10", "1"),
    seconds=118,
    quick_seconds=22,
)
GOAL = Goal("P1", must=0.8, reach=1.2)
WITH_REQUEST = Goal("P1 with its request", must=0.0, reach=0.0)
SAGAS = 60
#: The second line has no goal: it takes longest, and only tells.
FEWER_ROUNDS = 3
STEPS = 7
ASKERS = 4
CODE = "bench"
_numbers = itertools.count()


def main() -> int:
    """Prints the lines; 1 when what must be reached is missed."""
    sagas = int(sys.argv[1]) if len(sys.argv) > 1 else SAGAS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with stand() as one, asyncio.Runner() as runner:
        one.run("worker", "relay", "simulators")
        one.command("bare", [sys.executable, "-m", "benchmarks.bare"])
        one.django()
        sides = _Sides(one, runner, sagas)
        result = compare(
            GOAL, ours=sides.sagas, reference=sides.bare, unit="sagas/s", rounds=rounds
        )
        compare(
            WITH_REQUEST,
            ours=sides.requests,
            reference=sides.bare,
            unit="sagas/s",
            rounds=min(rounds, FEWER_ROUNDS),
            warm_up=False,  # the first line did
        )
    return int(result.word == "MISSED")


@dataclass
class _Sides:
    """What is measured, each in sagas a second."""

    stand: Stand
    runner: asyncio.Runner
    number: int

    def __post_init__(self) -> None:
        self.client = self.runner.run(Client.connect(self.stand.temporal.address))
        self.body = _prepare()

    def bare(self) -> float:
        name = f"p1-{next(_numbers)}"
        return self.runner.run(
            bare.throughput(self.client, sagas=self.number, steps=STEPS, name=name)
        )

    def sagas(self) -> float:
        """The saga alone, on rows that are there."""
        from apps.interventions.contracts import EXECUTE_WORKFLOW, TASK_QUEUE, InterventionRef
        from apps.interventions.models import Intervention

        rows = Intervention.objects.bulk_create(_row(self.body) for _ in range(self.number))

        async def one(row: Any) -> None:
            async with gate:
                handle = await self.client.start_workflow(
                    EXECUTE_WORKFLOW,
                    InterventionRef(str(row.pk)),
                    id=row.execution_workflow_id,
                    task_queue=TASK_QUEUE,
                )
            await handle.result()

        async def every() -> None:
            await asyncio.gather(*(one(row) for row in rows))

        gate = asyncio.Semaphore(bare.IN_FLIGHT)
        return self._counted(lambda: self.runner.run(every()))

    def requests(self) -> float:
        """From the first request to the last end."""
        from django.utils import timezone

        from apps.interventions.services.requests import intervention_request

        def ask(number: int) -> None:
            intervention_request(
                policy=CODE,
                budget=CODE,
                amount=self.body["amount"],
                currency=self.body["currency"],
                target=f"Target {number}",
                justification="Measured.",
                by=self.body["requested_by"],
                via="command",
                as_of=timezone.now(),
            )

        def every() -> None:
            with ThreadPoolExecutor(ASKERS) as pool:
                list(pool.map(ask, range(self.number)))

        return self._counted(every)

    def _counted(self, run: Callable[[], None]) -> float:
        """Sagas a second until the database says that all are executed: no other end counts."""
        from apps.interventions.models import Intervention

        executed = Intervention.objects.filter(policy__code=CODE, status="executed")
        before = executed.count()
        began = time.perf_counter()
        run()
        until(
            lambda: executed.count() >= before + self.number,
            seconds=120,
            every=0.05,
            what=f"{self.number} sagas\n{self.stand.processes[0].tail(20)}",
        )
        return self.number / (time.perf_counter() - began)


def _prepare() -> dict[str, Any]:
    """A policy that nobody signs for and a budget that covers everything; what a row is made of."""
    from apps.accounts.models import User
    from apps.approvals.services import rule_put
    from apps.interventions.contracts import KIND
    from apps.interventions.models import Policy
    from apps.interventions.services import budgets, policies

    admin = User.objects.get(username="admin")
    requester = User.objects.get(username="requester")
    name: dict[str, Any] = {
        "code": CODE,
        "name": "Bench",
        "currency": "NGN",
        "by": admin,
        "via": "command",
    }
    policies.policy_put(**name, reversible=True, max_amount=None)
    rule_put(
        kind=KIND,
        scope=CODE,
        currency="NGN",
        bands=[{"above": "1000000.00", "tiers": [{"group": "reviewer", "quorum": 1}]}],
        by=admin,
        via="command",
    )
    budget = budgets.budget_open(**name)
    budgets.budget_allocate(code=CODE, amount=Decimal(10**12), key=CODE, by=admin, via="command")
    return {
        "policy": Policy.objects.get(code=CODE, active=True),
        "budget": budget,
        "requested_by": requester,
        "amount": Decimal("10.00"),
        "currency": "NGN",
        "justification": "Measured.",
    }


def _row(body: dict[str, Any]) -> Any:
    """An intervention as the request's service writes it."""
    from apps.common.identifiers import new_id
    from apps.interventions.contracts import SUBJECT
    from apps.interventions.models import Intervention

    pk = new_id()
    return Intervention(
        pk=pk, **body, target=f"Target {pk}", request_digest="0" * 64, workflow_id=f"{SUBJECT}-{pk}"
    )


if __name__ == "__main__":
    sys.exit(main())
