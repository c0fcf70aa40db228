"""A worker with nothing in its environment but what the service before had: `manage.py runworker`
starts, and says who it is."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from temporalio.client import Client

from apps.approvals.models import ApprovalRequest
from apps.pix.models import Claim
from deploy.local.processes import free_port
from tests.config.test_settings import PRODUCTION
from tests.pix.claims.stage import BY_HAND
from tests.stage import orm
from tests.support import eventually_async, patient
from tests.workers.conftest import ROOT, WorkerProcess

pytestmark = pytest.mark.django_db(transaction=True)

#: Its `.env`; addresses, ports and passwords are those of the test.
BLOCK = {
    "SERVICE_NAME": "conn-dict-worker",
    "APP_LOG_LEVEL": "info",
    "TEMPORAL_HOST": "localhost:7233",
    "TEMPORAL_NAMESPACE": "default",
    "TEMPORAL_TASK_QUEUE": "conn-dict-task-queue",
    "MAX_CONCURRENT_WORKFLOWS": "100",
    "MAX_CONCURRENT_ACTIVITIES": "200",
    "POSTGRES_HOST": "localhost",
    "POSTGRES_PORT": "5432",
    "POSTGRES_USER": "dict_user",
    "POSTGRES_PASSWORD": "dict_password",
    "POSTGRES_DB": "dict_db",
    "POSTGRES_MAX_CONNS": "50",
    "POSTGRES_MIN_CONNS": "10",
    "PULSAR_URL": "pulsar://localhost:6650",
    "PULSAR_TOPIC": "persistent://public/default/dict-events",
    "PULSAR_PRODUCER_NAME": "conn-dict-worker",
    "BRIDGE_GRPC_ADDR": "localhost:50051",
    "BRIDGE_GRPC_TIMEOUT": "30s",
    "HEALTH_PORT": "8081",
    "METRICS_PORT": "9093",
}
#: What production demands besides. The database and the engine are named by the block.
SECRETS = {
    name: value
    for name, value in PRODUCTION.items()
    if name not in ("DATABASE_URL", "TEMPORAL_ADDRESS", "REDIS_URL")
}


class SourceWorker(WorkerProcess):
    """`manage.py runworker` with this environment and no other."""

    def __init__(self, log: Path, env: dict[str, str]) -> None:
        self.log = log
        with log.open("wb") as file:
            self.popen = subprocess.Popen(
                [sys.executable, "manage.py", "runworker"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
                stdout=file,
                stderr=file,
            )


def here(address: str, namespace: str) -> dict[str, str]:
    """The block with this test's servers."""
    database = connection.settings_dict
    return {
        **BLOCK,
        "TEMPORAL_HOST": address,
        "TEMPORAL_NAMESPACE": namespace,
        "POSTGRES_HOST": str(database["HOST"]),
        "POSTGRES_PORT": str(database["PORT"]),
        "POSTGRES_USER": str(database["USER"]),
        "POSTGRES_DB": str(database["NAME"]),
        "HEALTH_PORT": str(free_port()),
        "METRICS_PORT": str(free_port()),
    }


@pytest.fixture
def start(
    tmp_path: Path, temporal_address: str, temporal_namespace: str
) -> Iterator[Callable[[dict[str, str]], SourceWorker]]:
    made: list[SourceWorker] = []

    def run(besides: dict[str, str]) -> SourceWorker:
        env = {**here(temporal_address, temporal_namespace), **besides}
        made.append(SourceWorker(tmp_path / "worker.log", env))
        return made[-1]

    yield run
    for worker in made:
        worker.close()


@pytest.mark.parametrize("production", [False, True], ids=["as it stands", "production"])
async def test_a_worker_with_the_sources_block_serves_the_contracts_claim(
    start: Callable[[dict[str, str]], SourceWorker],
    temporal_client: Client,
    task_queue: str,
    production: bool,
) -> None:
    worker = start({**SECRETS, "REDIS_URL": settings.REDIS_URL} if production else {})
    await asyncio.to_thread(worker.wait_ready)
    assert worker.get("/health") == (200, {"status": "healthy", "service": "conn-dict-worker"})
    assert worker.get("/ready") == (200, {"status": "ready", "service": "conn-dict-worker"})
    budget = worker.hear("worker.budget")
    assert budget["queues"] == {
        "conn-dict-task-queue": {"workflows": 100, "activities": 200, "local": 100}
    }
    assert budget["connections_pool"] == 50

    handle = await temporal_client.start_workflow(
        "ClaimWorkflow", BY_HAND, id=task_queue, task_queue="conn-dict-task-queue"
    )
    started = await asyncio.to_thread(worker.hear, "ClaimWorkflow started")
    said = [started[name] for name in ("level", "claim_id", "entry_id", "workflow_id")]
    assert said == ["info", "TEST-001", "ENTRY-001", task_queue]
    await handle.signal("confirm")
    if production:
        await a_person_is_asked()
        await handle.terminate("the test is over")
        return
    result: Any = await asyncio.wait_for(handle.result(), patient(60))
    assert result["status"] == "completed"
    metric = ("conn_dict_worker_health_status", ())
    assert worker.figures()[metric] == 1


async def a_person_is_asked() -> None:
    """Whoever reaches the engine decides nothing without a name there."""
    items = ApprovalRequest.objects.filter(kind="pix.claim_signal")
    await eventually_async(lambda: orm(items.exists))
    assert (await orm(Claim.objects.get)).status == "waiting"
