"""Every metric moves by exactly what happened."""

import asyncio
from collections.abc import Iterator

import pytest
from temporalio.client import Client, WorkflowFailureError

from apps.engine.contracts import RunStatus
from apps.engine.models import WorkflowRun
from tests.support import eventually, eventually_async
from tests.workers.conftest import MakeWorker, Serving
from tests.workers.sample_workflows import Fails, Holds, Succeeds, Waits
from workers import metrics
from workers.run_observer import BUSY, RunNotice

pytestmark = pytest.mark.django_db(transaction=True)


def count(metric: object, *labels: str) -> float:
    return metric.labels(*labels)._value.get()


@pytest.fixture(params=[True, False], ids=["sandbox", "no-sandbox"])
def sandboxed(request: pytest.FixtureRequest) -> bool:
    """Every test that has a worker of this process has it both ways."""
    return bool(request.param)


@pytest.fixture
def moved() -> Iterator[object]:
    """How much the counters of `Waits` have moved since the test's start."""
    counters = {
        RunStatus.COMPLETED: metrics.WORKFLOW_COMPLETIONS,
        RunStatus.FAILED: metrics.WORKFLOW_FAILURES,
        RunStatus.CANCELLED: metrics.WORKFLOW_CANCELLATIONS,
    }
    before = {status: count(metric, "Waits") for status, metric in counters.items()}

    def now() -> dict[RunStatus, float]:
        delta = {s: count(m, "Waits") - before[s] for s, m in counters.items()}
        return {status: value for status, value in delta.items() if value}

    return now


async def test_three_successes_and_one_failure_move_each_metric_by_exactly_that(
    make_worker: MakeWorker,
    test_database: str,
    temporal_client: Client,
    task_queue: str,
) -> None:
    worker = make_worker(DATABASE_URL=test_database)
    await asyncio.to_thread(worker.wait_ready)
    before = worker.figures()
    for number in range(3):
        await temporal_client.execute_workflow(
            Succeeds.run, id=f"{task_queue}-{number}", task_queue=task_queue
        )
    with pytest.raises(WorkflowFailureError):
        await temporal_client.execute_workflow(Fails.run, id=task_queue, task_queue=task_queue)

    def changed() -> dict[str, float]:
        after = worker.figures()
        return {
            name + "".join(f" {v}" for _, v in labels): value - before.get((name, labels), 0.0)
            for (name, labels), value in after.items()
            if name.startswith(("workflow_", "activity_", "conn_dict_"))
            and not name.endswith(("_bucket", "_sum"))
            and value != before.get((name, labels), 0.0)
        }

    expected = {
        "workflow_completions_total Succeeds": 3,
        "workflow_failures_total Fails": 1,
        "activity_execution_total first success": 3,
        "activity_execution_total refuse failure": 1,
        "activity_latency_seconds_count first": 3,
        "activity_latency_seconds_count refuse": 1,
        "conn_dict_worker_tasks_processed_total success first": 3,
        "conn_dict_worker_tasks_processed_total failure refuse": 1,
        "conn_dict_worker_task_duration_seconds_count first": 3,
        "conn_dict_worker_task_duration_seconds_count refuse": 1,
    }
    # The last eviction follows the answer by milliseconds.
    eventually(lambda: len(changed()) >= len(expected))
    assert changed() == expected


async def test_one_scrape_has_ours_the_sdks_and_the_pools_figures(
    make_worker: MakeWorker, test_database: str
) -> None:
    worker = make_worker(DATABASE_URL=test_database)
    await asyncio.to_thread(worker.wait_ready)
    figures = worker.figures()
    names = {name for name, _ in figures}
    assert {
        "conn_dict_worker_health_status",
        "conn_dict_worker_active_workflows",
        "conn_dict_worker_active_activities",
        "countersign_relay_lag_seconds",
        "temporal_worker_task_slots_available",
        "temporal_request_total",
        "db_pool_size",
        "db_pool_requests_waiting",
    } <= names
    assert figures[("conn_dict_worker_health_status", ())] == 1
    buckets = {
        float(dict(labels)["le"])
        for name, labels in figures
        if name == "conn_dict_worker_task_duration_seconds_bucket"
    }
    assert {30.0, 60.0, 300.0} <= buckets


async def test_a_completion_that_the_server_refuses_is_not_counted(
    serving: Serving, temporal_client: Client, task_queue: str, moved: object
) -> None:
    seen: list[RunNotice] = []
    async with serving(listeners=[seen.append]):
        handle = await temporal_client.start_workflow(
            Waits.run, 0, id=task_queue, task_queue=task_queue
        )
        await eventually_async(lambda: BUSY.activities)
        # It comes while the last local step runs: the server sends the task back with it.
        await handle.signal(Waits.nudge)
        assert await handle.result() == 1
        await eventually_async(lambda: any(n.status is RunStatus.COMPLETED for n in seen))
    assert moved() == {RunStatus.COMPLETED: 1}
    assert [notice.status for notice in seen if notice.status.closed] == [RunStatus.COMPLETED]


async def test_cancellation_and_continue_as_new_are_neither_success_nor_failure(
    serving: Serving, temporal_client: Client, task_queue: str, moved: object
) -> None:
    seen: list[RunNotice] = []
    async with serving(listeners=[seen.append]):
        cancelled = await temporal_client.start_workflow(
            Waits.run, 9, id=f"{task_queue}-c", task_queue=task_queue
        )
        await cancelled.cancel()
        renewed = await temporal_client.start_workflow(
            Waits.run, 9, id=f"{task_queue}-r", task_queue=task_queue
        )
        await renewed.signal(Waits.renew)
        assert await renewed.result() == 0
        with pytest.raises(WorkflowFailureError):
            await cancelled.result()
        await eventually_async(lambda: len([n for n in seen if n.status.closed]) == 3)
    ends = {(n.workflow_id[-1], n.status) for n in seen if n.status.closed}
    assert ends == {
        ("c", RunStatus.CANCELLED),
        ("r", RunStatus.CONTINUED_AS_NEW),
        ("r", RunStatus.COMPLETED),
    }
    assert moved() == {RunStatus.COMPLETED: 1, RunStatus.CANCELLED: 1}


async def test_a_replay_counts_nothing_again(
    serving: Serving, temporal_client: Client, task_queue: str, moved: object
) -> None:
    seen: list[RunNotice] = []
    async with serving(listeners=[seen.append]):
        handle = await temporal_client.start_workflow(
            Waits.run, 1, id=task_queue, task_queue=task_queue
        )
        await eventually_async(lambda: len(seen) == 1)
    # Another worker takes over: it replays what the first one did.
    async with serving(listeners=[seen.append]):
        await handle.signal(Waits.nudge)
        assert await handle.result() == 1
        await eventually_async(lambda: len(seen) == 2)
        # A query on a closed workflow replays its end.
        await handle.query("__stack_trace")
    assert [notice.status for notice in seen] == [RunStatus.RUNNING, RunStatus.COMPLETED]
    assert moved() == {RunStatus.COMPLETED: 1}


async def test_a_workflow_is_active_while_its_activity_runs_and_not_while_it_waits(
    serving: Serving, temporal_client: Client, task_queue: str
) -> None:
    async with serving():
        waiting = await temporal_client.start_workflow(
            Waits.run, 1, id=f"{task_queue}-w", task_queue=task_queue
        )
        holding = await temporal_client.start_workflow(
            Holds.run, 2.0, id=task_queue, task_queue=task_queue
        )
        await eventually_async(lambda: BUSY.activities == 1 and BUSY.workflows == 1)
        await holding.result()
        await eventually_async(lambda: (BUSY.workflows, BUSY.activities) == (0, 0))
        await waiting.terminate()


async def test_a_worker_notes_its_runs_in_the_mirror(
    make_worker: MakeWorker, test_database: str, temporal_client: Client, task_queue: str
) -> None:
    worker = make_worker(DATABASE_URL=test_database)
    await asyncio.to_thread(worker.wait_ready)
    with pytest.raises(WorkflowFailureError):
        await temporal_client.execute_workflow(Fails.run, id=task_queue, task_queue=task_queue)

    def noted() -> WorkflowRun | None:
        return WorkflowRun.objects.filter(workflow_id=task_queue, status=RunStatus.FAILED).first()

    run = await asyncio.to_thread(eventually, noted)
    assert run is not None
    assert (run.workflow_type, run.task_queue) == ("Fails", task_queue)
    assert run.started_at < run.closed_at
    # A worker's word is believed until the server's own is heard.
    assert not run.confirmed
