"""Thousands of claims wait for their donors: a worker takes them over, a bulk decision confirms
hundreds, each once, and what waits costs nothing."""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from temporalio.client import Client

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest, PayloadVersion, Signature
from apps.approvals.services import bulk_decide
from apps.approvals.services.bulk import BulkChoice
from apps.engine.models import EngineCommand, WorkflowRun
from apps.pix.contracts.claims import ClaimRequest
from apps.pix.models import Claim, Entry
from apps.pix.services.claims import claim_demo
from apps.streams.models import OutEvent
from tests.directory import OTHER, OURS
from tests.pix.claims.test_engine_lost import connected
from tests.stack import MakeServers
from tests.stage import orm
from tests.support import FULL_SIZE, eventually_async, pause, within
from tests.workers.conftest import MakeWorker, WorkerProcess, make_worker, test_database

__all__ = ["make_worker", "test_database"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(7200 if FULL_SIZE else 400),
]

WAITING, CONFIRMED = (10_000, 500) if FULL_SIZE else (60, 20)
#: For what thousands of workflows take.
LONG = 3600.0 if FULL_SIZE else 120.0
QUEUE = "conn-dict-task-queue"
#: Pages that count what waits.
PAGES = ("home", "workers", "claims", "claims_board", "inbox")


def opened(people: dict[str, User], numbers: Iterator[int]) -> None:
    """Open claims without a key, so that each waits for its donor in the inbox."""
    for number in numbers:
        request = ClaimRequest(
            claim_id=f"MANY-{number:05}",
            claim_type="PORTABILITY",
            claimer_ispb=OURS,
            donor_ispb=OTHER,
            entry_id=f"ENTRY-{number:05}",
        )
        by = people["requester"]
        claim_demo(request, requested_by=by, by=by, as_of=timezone.now())


def confirm(people: dict[str, User]) -> list[str]:
    """Have the officer confirm so many with one decision; the claims' ids."""
    open_now = ApprovalRequest.objects.open().filter(kind="pix.claim").order_by("created_at")
    chosen = list(open_now[:CONFIRMED])
    hashes = dict(
        PayloadVersion.objects.filter(request__in=chosen).values_list("request_id", "hash")
    )
    bulk_decide(
        by=people["officer"],
        verdict="approve",
        reason="The owners have said so.",
        reason_codes={"pix.claim": "USER_REQUESTED"},
        items=[BulkChoice(one.pk, hashes[one.pk]) for one in chosen],
        key="many",
        via="page",
        as_of=timezone.now(),
    )
    return [one.subject_id for one in chosen]


def prove(confirmed: list[str]) -> None:
    """Those are completed, once each; all others wait, and nothing is on its way."""
    done = Claim.objects.filter(pk__in=confirmed)
    assert set(done.values_list("status", flat=True)) == {"completed"}
    assert Claim.objects.filter(status="waiting").count() == WAITING - CONFIRMED
    names = sorted(done.values_list("entry_ref", flat=True))
    assert sorted(Entry.objects.live().values_list("entry_id", flat=True)) == names
    told = OutEvent.objects.filter(type="claim.completed").values_list("key", flat=True)
    assert sorted(told) == names
    assert Signature.objects.count() == CONFIRMED
    assert not EngineCommand.objects.exclude(state="sent").exists()
    assert WorkflowRun.objects.filter(workflow_type="ClaimWorkflow").count() == WAITING


def steps(worker: WorkerProcess) -> float:
    """How many activities the worker has executed."""
    figures = worker.figures().items()
    return sum(value for (name, _), value in figures if name == "activity_execution_total")


def looked_at(browser: Browser) -> dict[str, int]:
    """Open each page; how many queries it asked. AssertionError if one takes seconds."""
    asked: dict[str, int] = {}
    for page in PAGES:
        with within(4), CaptureQueriesContext(connection) as queries:
            assert browser.get(reverse(page)).status_code == 200, page
        asked[page] = len(queries)
    return asked


async def test_many_wait_a_worker_takes_them_over_and_hundreds_are_confirmed_once_each(
    people: dict[str, User],
    private_servers: MakeServers,
    make_worker: MakeWorker,
    test_database: str,
    record_property: Callable[[str, object], None],
) -> None:
    temporal = private_servers(postgres=False, valkey=False).temporal
    assert temporal is not None
    clock = Clock()

    def start() -> WorkerProcess:
        """One that leads too: nobody else is there."""
        worker = make_worker(
            *("--queue", QUEUE, "--queue", "approvals"),
            DATABASE_URL=test_database,
            TEMPORAL_ADDRESS=temporal.address,
            TEMPORAL_NAMESPACE="default",
        )
        worker.wait_ready()
        return worker

    first = await asyncio.to_thread(start)
    browser = Browser()
    await orm(browser.force_login, people["admin"])
    # Fewer than a page has: what is asked for more must not be more.
    numbers = iter(range(WAITING))
    await orm(opened, people, itertools.islice(numbers, 30))
    await all_wait(30)
    few = await orm(looked_at, browser)

    clock.lap("")
    await orm(opened, people, numbers)
    clock.lap("asked")
    await all_wait(WAITING)
    clock.lap("waiting")
    many = await orm(looked_at, browser)
    # Give or take what is asked on a first visit, or for a card that was empty before.
    assert {page: few[page] for page in PAGES if many[page] > few[page] + 5} == {}, many
    await nothing_moves(first)

    first.close()
    clock.lap("")
    second = await asyncio.to_thread(start)
    clock.lap("another worker ready")
    confirmed = await orm(confirm, people)
    completed = Claim.objects.filter(status="completed")
    await eventually_async(lambda: orm(lambda: completed.count() == CONFIRMED), LONG, 0.2)
    clock.lap("confirmed")
    client = await connected(temporal.address)
    await eventually_async(lambda: all_ended(client), LONG, 0.2)
    unsent = EngineCommand.objects.exclude(state="sent")
    await eventually_async(lambda: orm(lambda: not unsent.exists()), LONG, 0.2)
    await orm(prove, confirmed)
    await nothing_moves(second)
    for name, seconds in clock.laps.items():
        row = f"{WAITING} wait, {CONFIRMED} confirmed"
        record_property("table", ["Claims", row, f"{name}, s", f"{seconds:.0f}"])
    sys.stdout.write(f"{clock.laps} {many}\n")


class Clock:
    """How long each part took."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at = time.monotonic()

    def lap(self, name: str) -> None:
        """That part is over; without a name it does not count."""
        now = time.monotonic()
        if name:
            self.laps[name] = now - self._at
        self._at = now


async def all_wait(number: int) -> None:
    """Each has its request, and its run is known."""
    asked = ApprovalRequest.objects.open().filter(kind="pix.claim")
    runs = WorkflowRun.objects.filter(workflow_type="ClaimWorkflow", status="running")
    await eventually_async(lambda: orm(lambda: asked.count() == number), LONG, 0.2)
    await eventually_async(lambda: orm(lambda: runs.count() == number), LONG, 0.2)


async def all_ended(client: Client) -> bool:
    """Whether the engine runs no more than the claims that wait."""
    found = await client.count_workflows(
        "WorkflowType = 'ClaimWorkflow' AND ExecutionStatus = 'Running'"
    )
    return found.count == WAITING - CONFIRMED


async def nothing_moves(worker: WorkerProcess) -> None:
    """No claim is looked at while it waits: three seconds are long beside a poll."""

    async def still() -> bool:
        before = await asyncio.to_thread(steps, worker)
        await asyncio.to_thread(pause, 3)
        return before == await asyncio.to_thread(steps, worker)

    await eventually_async(still)
