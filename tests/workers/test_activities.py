"""Connections, heartbeats and errors of activities, with a real server and a real pool."""

import logging
from datetime import timedelta

import pytest
from django.db import connection, connections
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from tests.support import eventually_async
from tests.workers import sample
from tests.workers.conftest import Serving
from tests.workers.sample_workflows import Fails, LongCall, Many, OneStep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five connections and two seconds of patience, for this test."""
    options = connection.settings_dict["OPTIONS"]["pool"]
    connection.close()
    connection.close_pool()
    monkeypatch.setitem(options, "max_size", 5)
    monkeypatch.setitem(options, "timeout", 2.0)
    yield
    connections.close_all()
    connection.close_pool()


@pytest.mark.usefixtures("small_pool")
async def test_sixty_activities_share_five_connections(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving(threads=60):
        names = await temporal_client.execute_workflow(
            Many.run, 60, id=task_queue, task_queue=task_queue
        )
    assert len(names) == 1
    pool = connections["default"].pool
    stats = pool.get_stats()
    assert stats["pool_size"] <= 5
    assert stats["pool_available"] == stats["pool_size"]
    assert stats.get("requests_errors", 0) == 0


async def test_a_blocking_call_heartbeats_past_its_heartbeat_timeout(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        result = await temporal_client.execute_workflow(
            LongCall.run, 3.0, id=task_queue, task_queue=task_queue
        )
    # One attempt, one second of heartbeat timeout, three seconds of silence from the call.
    assert result == "called"


async def test_cancellation_reaches_a_blocking_call_and_waits_for_its_end(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        handle = await temporal_client.start_workflow(
            LongCall.run, 20.0, id=task_queue, task_queue=task_queue
        )
        await eventually_async(lambda: _heartbeats(handle))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failure:
            await handle.result()
    assert sample.ENDED.is_set()
    assert isinstance(failure.value.cause, CancelledError)


async def _heartbeats(handle: object) -> bool:
    description = await handle.describe()
    pending = description.raw_description.pending_activities
    return bool(pending and pending[0].HasField("last_heartbeat_time"))


async def test_an_activity_that_fails_leaves_a_log_line_with_all_its_ids(
    serving: Serving,
    temporal_client: Client,
    task_queue: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="workers.activities"):
        async with serving():
            handle = await temporal_client.start_workflow(
                OneStep.run, args=["step", "fails_locally"], id=task_queue, task_queue=task_queue
            )
            await handle.result()
    line = next(
        record.msg
        for record in caplog.records
        if isinstance(record.msg, dict) and record.msg.get("msg") == "activity.failed"
    )
    assert line["workflow_id"] == task_queue
    assert line["run_id"] == handle.result_run_id
    assert line["activity"] == "fails_locally"
    assert line["attempt"] == "1"
    assert line["correlation_id"] == task_queue
    assert line["error"] == "RuntimeError: not here"


async def test_a_refused_workflow_fails_with_the_code(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        with pytest.raises(WorkflowFailureError) as failure:
            await temporal_client.execute_workflow(
                Fails.run,
                id=task_queue,
                task_queue=task_queue,
                execution_timeout=timedelta(seconds=20),
            )
    assert failure.value.cause.type == "already_settled"
