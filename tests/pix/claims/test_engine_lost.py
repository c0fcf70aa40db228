"""The engine's store is lost with claims open: each waits for what remained, not thirty days
again."""

import asyncio
import shutil
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.engine.models import WorkflowRun
from apps.pix.models import Claim
from tests.pix.claims.stage import ClaimStage
from tests.pix.claims.test_workflow import timers
from tests.stack import MakeServers
from tests.stage import orm
from tests.support import eventually_async
from tests.workers.conftest import MakeWorker, make_worker, test_database

__all__ = ["make_worker", "test_database"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

QUEUE = "conn-dict-task-queue"
#: Days for which each of them has waited.
WAITED = {"A-0": 0, "A-10": 10, "A-29": 29}
DAY = timedelta(days=1)


def age() -> None:
    """So many days have passed for each of them."""
    for claim_id, days in WAITED.items():
        Claim.objects.filter(claim_id=claim_id).update(
            # A minute more: a row so young may still be on its way to the engine.
            created_at=F("created_at") - days * DAY - timedelta(minutes=2),
            opened_at=F("opened_at") - days * DAY,
            resolution_ends_at=F("resolution_ends_at") - days * DAY,
        )


async def test_the_engines_store_is_lost_and_all_wait_for_what_remained(
    people: dict[str, User],
    private_servers: MakeServers,
    make_worker: MakeWorker,
    test_database: str,
) -> None:
    servers = private_servers(postgres=False, valkey=False)
    temporal = servers.temporal
    assert temporal is not None

    def worker() -> Any:
        """One that leads too: nobody else is there."""
        began = make_worker(
            *("--queue", QUEUE),
            DATABASE_URL=test_database,
            TEMPORAL_ADDRESS=temporal.address,
            TEMPORAL_NAMESPACE="default",
            SWEEP_SECONDS="1",
        )
        began.wait_ready()
        return began

    first = await asyncio.to_thread(worker)
    client = await connected(temporal.address)
    stage = ClaimStage(client=client, queue=QUEUE, people=people)
    for claim_id in WAITED:
        await stage.by_hand(claim_id, claim_id=claim_id, entry_id=f"E-{claim_id}")
        await stage.asked(claim_id)
    running = WorkflowRun.objects.filter(workflow_type="ClaimWorkflow", status="running")
    await eventually_async(lambda: orm(lambda: running.count() == len(WAITED)))

    first.close()
    await orm(age)
    servers.kill9(temporal)
    assert temporal.data is not None
    for file in temporal.data.iterdir():
        file.unlink() if file.is_file() else shutil.rmtree(file)
    await asyncio.to_thread(temporal.start)
    await asyncio.to_thread(worker)

    stage = ClaimStage(client=await connected(temporal.address), queue=QUEUE, people=people)
    for claim_id, days in WAITED.items():
        await waits_for(stage, claim_id, (30 - days) * DAY)
    # Nobody was asked: nothing is wrong with them, and each donor has its one request.
    kinds = await orm(lambda: list(ApprovalRequest.objects.open().values_list("kind", flat=True)))
    assert kinds == ["pix.claim"] * len(WAITED)

    handle: Any = stage.client.get_workflow_handle(stage.workflow_id("A-10"))
    await handle.signal("confirm")
    assert (await handle.result())["status"] == "completed"
    assert (await stage.claim("A-0")).status == "waiting"


async def waits_for(stage: ClaimStage, claim_id: str, remains: timedelta) -> None:
    """The claim's workflow runs again, with one timer for what remains of the donor's days."""
    handle = stage.client.get_workflow_handle(stage.workflow_id(claim_id))

    async def set_again() -> bool:
        found = [one for one in await timers(handle) if remains - DAY < one <= remains]
        claim = await stage.claim(claim_id)
        assert claim.resolution_ends_at is not None
        left = claim.resolution_ends_at - timezone.now()
        return any(left <= one <= left + timedelta(minutes=5) for one in found)

    await eventually_async(set_again, timeout=120)


async def connected(address: str) -> Client:
    """A client, as soon as the server serves."""
    made: list[Client] = []

    async def connect() -> bool:
        made.append(await Client.connect(address, data_converter=pydantic_data_converter))
        return True

    await eventually_async(connect)
    return made[-1]
