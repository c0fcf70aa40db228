"""`runworker` as a real process: how it starts, ends, and lives through outages."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest
from temporalio.api.enums.v1 import VersioningBehavior
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter

from apps.engine import liveness
from tests.stack import MakeServers
from tests.support import eventually, eventually_async, patient, within
from tests.workers.conftest import ROOT, MakeWorker, WorkerProcess
from tests.workers.sample_workflows import Holds, OneStep

pytestmark = pytest.mark.django_db(transaction=True)


async def holding(client: Client, queue: str, seconds: float) -> WorkflowHandle[object, str]:
    """A workflow whose activity has begun."""
    handle = await client.start_workflow(Holds.run, seconds, id=queue, task_queue=queue)

    async def begun() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return bool(pending and pending[0].HasField("heartbeat_details"))

    await eventually_async(begun)
    return handle


# --- the end ------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_activity_in_flight_finish(
    number: signal.Signals,
    make_worker: MakeWorker,
    test_database: str,
    temporal_client: Client,
    task_queue: str,
) -> None:
    await drained(make_worker(DATABASE_URL=test_database), temporal_client, task_queue, 2, number)


async def test_an_activity_of_ten_seconds_finishes_within_the_drain(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(DATABASE_URL=test_database)
    await drained(worker, temporal_client, task_queue, 10, signal.SIGTERM)


async def drained(
    worker: WorkerProcess, client: Client, queue: str, seconds: float, number: signal.Signals
) -> None:
    await asyncio.to_thread(worker.wait_ready)
    handle = await holding(client, queue, seconds)
    worker.popen.send_signal(number)
    worker.hear("worker.drains")
    # Health and metrics are the last to go: the drain can be watched.
    assert worker.get("/health")[0] == 200
    assert worker.get("/ready") == (
        503,
        {"status": "not_ready", "reason": "worker", "error": "draining"},
    )
    assert worker.figures()[("conn_dict_worker_health_status", ())] == 0
    assert await asyncio.to_thread(worker.popen.wait, patient(seconds + 10)) == 0
    assert "TAKEN DOWN" not in worker.log.read_text()

    # Its first attempt has answered: no other worker had to do it again.
    history = await handle.fetch_history()
    done = [e for e in history.events if e.HasField("activity_task_completed_event_attributes")]
    begun = [e for e in history.events if e.HasField("activity_task_started_event_attributes")]
    assert len(done) == 1
    assert begun[0].activity_task_started_event_attributes.attempt == 1


async def test_a_second_signal_ends_at_once(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(DATABASE_URL=test_database)
    await asyncio.to_thread(worker.wait_ready)
    await holding(temporal_client, task_queue, 20)
    worker.popen.send_signal(signal.SIGTERM)
    worker.hear("worker.drains")
    await asyncio.sleep(0.3)
    with within(2):
        worker.popen.send_signal(signal.SIGTERM)
        assert worker.popen.wait(patient(5)) == 1


async def test_what_outlasts_the_drain_is_cut_off(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(DATABASE_URL=test_database, WORKER_DRAIN_SECONDS="1")
    await asyncio.to_thread(worker.wait_ready)
    await holding(temporal_client, task_queue, 60)
    worker.popen.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.popen.wait, 15) == 0
    assert worker.said("worker.cut_off")["activities"] == 1


# --- the start ----------------------------------------------------------------------------------
def refused(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "runworker", *words],
        cwd=ROOT,
        env={**os.environ, "HEALTH_PORT": "0", "METRICS_PORT": "0", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_unknown_queue_is_refused_with_the_names_of_the_others() -> None:
    for done in (refused("--queue", "nowhere"), refused(TEMPORAL_TASK_QUEUE="nowhere")):
        assert done.returncode == 2
        assert "Unknown queue: nowhere" in done.stderr
        assert "diagnostics" in done.stderr
        assert "intervention-critical" in done.stderr


def test_more_slots_than_threads_are_refused() -> None:
    done = refused(WORKER_THREADS="16", MAX_CONCURRENT_ACTIVITIES="200")
    assert done.returncode == 2
    assert "WORKER_THREADS=16 is less than the" in done.stderr


def test_a_port_that_is_taken_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = refused(HEALTH_PORT=str(port), WORKER_THREADS="16")
    assert done.returncode == 2
    assert f"HEALTH_PORT {port}" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("METRICS_PORT", "metrics"),
        ("WORKER_DRAIN_SECONDS", "-1"),
        ("TEMPORAL_DEBUG", "perhaps"),
        ("TEMPORAL_BUILD_ID", "7"),
    ],
)
def test_a_bad_value_stops_the_start_and_names_its_variable(variable: str, value: str) -> None:
    done = refused(**{variable: value})
    assert done.returncode != 0
    assert variable in done.stderr


def test_the_sdk_never_sees_temporal_debug() -> None:
    script = (
        "import os, django; django.setup(); from django.conf import settings; "
        "print(settings.TEMPORAL_DEBUG, 'TEMPORAL_DEBUG' in os.environ)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TEMPORAL_DEBUG": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]


async def test_it_serves_the_queues_of_temporal_task_queue_and_says_its_budget(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(
        "--no-relay", DATABASE_URL=test_database, TEMPORAL_TASK_QUEUE=f"diagnostics,{task_queue}"
    )
    await asyncio.to_thread(worker.wait_ready)
    budget = worker.hear("worker.budget")
    assert budget["queues"] == {
        "diagnostics": {"workflows": 100, "activities": 0, "local": 0},
        task_queue: {"workflows": 100, "activities": 8, "local": 8},
    }
    assert budget["threads"] == 16
    assert budget["connections_pool"] == 25
    answer = await temporal_client.execute_workflow(
        "PingWorkflow", id=f"ping-{task_queue}", task_queue="diagnostics"
    )
    assert answer == {"pong": True}


async def test_log_lines_are_json_with_level_msg_and_timestamp(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(DATABASE_URL=test_database)
    await asyncio.to_thread(worker.wait_ready)
    await temporal_client.execute_workflow(
        OneStep.run, args=["step", "fails_locally"], id=task_queue, task_queue=task_queue
    )
    failed = worker.hear("activity.failed")
    assert failed["workflow_id"] == task_queue
    raw = [line for line in worker.log.read_text().splitlines() if line.strip()]
    assert len(raw) == len(worker.lines())
    assert all({"level", "msg", "timestamp"} <= set(line) for line in worker.lines())


# --- outages ------------------------------------------------------------------------------------
def test_without_temporal_it_waits_and_then_serves(
    make_worker: MakeWorker, test_database: str, private_servers: MakeServers
) -> None:
    servers = private_servers(postgres=False, valkey=False)
    servers.kill9(servers.temporal)
    worker = make_worker(
        DATABASE_URL=test_database,
        TEMPORAL_ADDRESS=servers.temporal.address,
        TEMPORAL_NAMESPACE="default",
    )
    worker.hear("worker.waits")
    assert worker.get("/health")[0] == 200
    status, body = worker.get("/ready")
    assert (status, body["reason"]) == (503, "temporal")
    servers.temporal.start()
    worker.wait_ready()


def test_it_survives_a_restart_of_temporal(
    make_worker: MakeWorker, test_database: str, private_servers: MakeServers, task_queue: str
) -> None:
    servers = private_servers(postgres=False, valkey=False)
    worker = make_worker(
        DATABASE_URL=test_database,
        TEMPORAL_ADDRESS=servers.temporal.address,
        TEMPORAL_NAMESPACE="default",
    )
    worker.wait_ready()
    servers.kill9(servers.temporal)
    eventually(lambda: worker.get("/ready")[0] == 503)
    servers.temporal.start()
    worker.wait_ready()

    async def served() -> object:
        client = await Client.connect(
            servers.temporal.address, data_converter=pydantic_data_converter
        )
        return await client.execute_workflow(
            OneStep.run, args=["step", "first"], id=task_queue, task_queue=task_queue
        )

    assert asyncio.run(asyncio.wait_for(served(), patient(40))) == "first x"
    assert worker.popen.poll() is None


async def test_a_step_goes_remote_while_postgresql_is_away_and_ends_when_it_is_back(
    make_worker: MakeWorker,
    private_servers: MakeServers,
    temporal_client: Client,
    task_queue: str,
) -> None:
    servers = private_servers(valkey=False, temporal=False, migrated=True)
    worker = make_worker(
        *("--queue", task_queue, "--queue", "diagnostics", "--no-relay"),
        DATABASE_URL=servers.postgres.url,
        POSTGRES_POOL_TIMEOUT="3",
        POSTGRES_MIN_CONNS="2",
    )
    await asyncio.to_thread(worker.wait_ready)
    servers.kill9(servers.postgres)
    handles = [
        await temporal_client.start_workflow(
            OneStep.run, args=["step", "query"], id=f"{task_queue}-{n}", task_queue=task_queue
        )
        for n in range(20)
    ]

    async def tries() -> bool:
        """A remote attempt has failed: the local one was given up."""
        pending = (await handles[-1].describe()).raw_description.pending_activities
        return bool(pending and pending[0].attempt > 1)

    await eventually_async(tries, timeout=30)
    # Another queue is not held up by those that wait.
    with within(2):
        await temporal_client.execute_workflow(
            "PingWorkflow", id=f"ping-{task_queue}", task_queue="diagnostics"
        )
    servers.postgres.start()
    assert {await handle.result() for handle in handles} == {"countersign"}
    await asyncio.to_thread(worker.wait_ready)
    assert worker.popen.poll() is None


# --- versions -----------------------------------------------------------------------------------
async def test_a_versioned_worker_serves_once_the_deployment_makes_it_current(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(
        DATABASE_URL=test_database,
        TEMPORAL_DEPLOYMENT_NAME=task_queue,
        TEMPORAL_BUILD_ID="build-7",
    )
    await asyncio.to_thread(worker.wait_ready)
    current = SetWorkerDeploymentCurrentVersionRequest(
        namespace=temporal_client.namespace, deployment_name=task_queue, build_id="build-7"
    )
    service = temporal_client.workflow_service

    async def made_current() -> bool:
        await service.set_worker_deployment_current_version(current)
        return True

    await eventually_async(made_current, timeout=20)
    handle = await temporal_client.start_workflow(
        OneStep.run, args=["step", "first"], id=task_queue, task_queue=task_queue
    )
    assert await asyncio.wait_for(handle.result(), patient(20)) == "first x"
    info = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
    assert info.behavior == VersioningBehavior.VERSIONING_BEHAVIOR_PINNED
    assert info.deployment_version.build_id == "build-7"


# --- the standby relay --------------------------------------------------------------------------
def test_a_worker_stands_by_as_relay_and_leads_when_nobody_else_does(
    make_worker: MakeWorker, test_database: str, task_queue: str
) -> None:
    worker = make_worker("--queue", task_queue, DATABASE_URL=test_database)
    worker.wait_ready()
    leading = eventually(lambda: [beat for beat in liveness.alive("relay") if beat.leading])
    serving = eventually(lambda: liveness.alive("worker"))
    assert [beat.queues for beat in serving] == [[task_queue]]
    assert leading
    worker.popen.send_signal(signal.SIGTERM)
    assert worker.popen.wait(patient(20)) == 0
    # Those who end in order take their signs of life back.
    assert not liveness.alive("worker")
    assert not [beat for beat in liveness.alive("relay") if beat.leading]
