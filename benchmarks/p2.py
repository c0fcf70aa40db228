"""P2: what a reviewer waits for ÷ a bare workflow with one activity, medians of both.

    python -m benchmarks.p2 [decisions] [rounds]

a: from the decision's HTTP request to the change in a websocket that watches the request.
b: from the same to the first effect of the workflow in a websocket that watches the intervention:
   commit, outbox, relay, signal, approval workflow, child workflow, its first step, Redis.
"""

import asyncio
import itertools
import json
import statistics
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2
from temporalio.client import Client
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks import bare
from benchmarks.bench import Bench
from benchmarks.testbed import ROUNDS, Goal, Stand, compare_all, stand, until

BENCH = Bench(
    goal="P2",
    title="What a reviewer waits for against a bare workflow",
    domain="interventions",
    quick=("3", "1"),
    seconds=53,
    quick_seconds=22,
)
CHANGE = Goal("P2a", must=1.5, reach=0.6, least=False)
EFFECT = Goal("P2b", must=3.0, reach=1.5, least=False)
DECISIONS = 15
PATIENCE = 30.0
_numbers = itertools.count()


def main() -> int:
    """Prints the lines; 1 when what must be reached is missed."""
    decisions = int(sys.argv[1]) if len(sys.argv) > 1 else DECISIONS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with stand() as one, asyncio.Runner() as runner:
        one.run("worker", "relay", "simulators", "web")
        one.command("bare", [sys.executable, "-m", "benchmarks.bare"])
        one.django()
        sides = _Sides(one, runner, decisions)
        # Each decision answers both: what is told first, and what is told of its effect.
        results = compare_all(
            [CHANGE, EFFECT], ours=sides.decide, reference=sides.bare, unit="ms", rounds=rounds
        )
        sides.close()
    return int(any(result.word == "MISSED" for result in results))


@dataclass
class _Sides:
    """What is measured, each the median of so many in milliseconds."""

    stand: Stand
    runner: asyncio.Runner
    number: int

    def __post_init__(self) -> None:
        from django.conf import settings
        from django.contrib.auth import get_user_model
        from django.test import Client as Browser

        self.temporal = self.runner.run(Client.connect(self.stand.temporal.address))
        web = f"127.0.0.1:{self.stand.ports['WEB_PORT']}"
        self.address = f"ws://{web}/ws/live?topics=request:{{request}},intervention:{{id}}"
        key = self.stand.manage("createapikey", "--user", "reviewer", "--scope", "all").split()[-1]
        self.http = httpx2.AsyncClient(base_url=f"http://{web}", headers={"X-API-Key": key})
        browser = Browser()
        browser.force_login(get_user_model().objects.get(username="admin"))
        cookie = browser.cookies[settings.SESSION_COOKIE_NAME].value
        self.headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
        self.origin = Origin(f"http://{web}")
        until(self._answers, seconds=60, what="the site")

    def _answers(self) -> bool:
        try:
            return bool(httpx2.get(f"{self.origin}/ready").status_code == 200)
        except httpx2.HTTPError:
            return False

    def bare(self) -> float:
        name = f"p2-{next(_numbers)}"
        times = [
            self.runner.run(bare.latency(self.temporal, name=f"{name}-{number}"))
            for number in range(self.number)
        ]
        return statistics.median(times)

    def decide(self) -> tuple[float, float]:
        """Until the change is told, until the workflow's first effect is told."""
        open_requests = self._ask()
        times = [self.runner.run(self._decide(**one)) for one in open_requests]
        change, effect = (statistics.median(column) for column in zip(*times, strict=True))
        return change, effect

    def _ask(self) -> list[dict[str, Any]]:
        """As many requests for a signature, all of them open."""
        from django.utils import timezone

        from apps.accounts.models import User
        from apps.approvals.models import ApprovalRequest
        from apps.interventions.services import requests

        asked = [
            requests.intervention_request(
                policy="demo-relief",
                budget="demo-2026",
                amount=Decimal("10000.01"),
                currency="NGN",
                target=f"Target {number}",
                justification="Measured.",
                by=User.objects.get(username="requester"),
                via="command",
                as_of=timezone.now(),
            )[0]
            for number in range(self.number)
        ]
        waiting = ApprovalRequest.objects.open().filter(
            subject_id__in=[str(one.pk) for one in asked]
        )
        until(lambda: waiting.count() == self.number, seconds=PATIENCE, what="the requests")
        return [
            {
                "request": str(request.pk),
                "intervention": request.subject_id,
                "seen": request.payloads.get(number=request.payload_number).hash,
            }
            for request in waiting
        ]

    async def _decide(self, *, request: str, intervention: str, seen: str) -> tuple[float, float]:
        address = self.address.format(request=request, id=intervention)
        async with connect(address, additional_headers=self.headers, origin=self.origin) as socket:
            while (await _frame(socket))["topic"] != "hello":
                pass
            began = time.perf_counter()
            calling = asyncio.create_task(
                self.http.post(
                    f"/api/v1/approvals/{request}/decide",
                    json={"verdict": "approve", "reason": "Measured.", "payload_hash": seen},
                )
            )
            change = effect = 0.0
            decided = 0
            while not (change and effect):
                frame = await _frame(socket)
                passed = (time.perf_counter() - began) * 1000
                if not frame.get("version"):
                    continue  # who looks at the page has changed, not the row
                if frame["topic"].startswith("request:"):
                    change = change or passed
                elif not decided:
                    # The decision's own commit moves the intervention's row as well.
                    decided = frame["version"]
                elif frame["version"] > decided:
                    effect = effect or passed
            answer = await calling
            if answer.status_code != 200:
                raise SystemExit(f"the decision was answered {answer.status_code} {answer.text}")
        return change, effect

    def close(self) -> None:
        self.runner.run(self.http.aclose())


async def _frame(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        frame: dict[str, Any] = json.loads(await socket.recv())
    return frame


if __name__ == "__main__":
    sys.exit(main())
