"""Workflows that were open yesterday go on with the code of today."""

from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.workflow import NondeterminismError

from tests.histories import record, replay
from tests.workers import sample, sample_workflows
from workers.options import worker_options


@pytest.mark.parametrize("path", replay.recorded(), ids=lambda p: f"{p.parent.name}/{p.stem}")
async def test_a_recorded_history_replays(path: Path) -> None:
    assert await replay.replay(replay.read(path), replay.registered()) is None


def test_every_registered_workflow_has_a_recorded_history() -> None:
    missing = {
        workflow.__name__
        for workflow in replay.registered()
        if not list((replay.FOLDER / workflow.__name__).glob("*.json"))
    }
    assert missing == set()


async def test_two_steps_that_change_places_are_noticed(
    temporal_client: Client, task_queue: str, tmp_path: Path
) -> None:
    async with Worker(
        temporal_client,
        task_queue=task_queue,
        workflows=[sample_workflows.InOrder],
        activities=sample.ACTIVITIES,
        activity_executor=sample.threads(),
        **worker_options(),
    ):
        handle = await temporal_client.start_workflow(
            sample_workflows.InOrder.run, "x", id=task_queue, task_queue=task_queue
        )
        assert await handle.result() == ["first x", "second x"]
    history = await handle.fetch_history()
    swapped = replay.mutated(
        sample_workflows,
        tmp_path,
        ("await local_step(sample.first, word)", "await local_step(sample.second, word)"),
    )

    assert await replay.replay(history, [sample_workflows.InOrder]) is None
    failure = await replay.replay(history, [swapped.InOrder])
    assert isinstance(failure, NondeterminismError)


async def test_a_recorded_history_names_no_machine(
    temporal_client: Client,
    temporal_address: str,
    temporal_namespace: str,
    task_queue: str,
    tmp_path: Path,
) -> None:
    await temporal_client.start_workflow("Nobody", id=task_queue, task_queue=task_queue)
    where = {"address": temporal_address, "namespace": temporal_namespace, "folder": tmp_path}
    path = await record.record(workflow_id=task_queue, case="started", **where)

    assert path == tmp_path / "Nobody" / "started.json"
    assert temporal_client.identity not in path.read_text()
    with pytest.raises(FileExistsError):
        await record.record(workflow_id=task_queue, case="started", **where)
