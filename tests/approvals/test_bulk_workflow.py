"""The workflow that works through a bulk decision, against real Temporal and PostgreSQL."""

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from apps.approvals import services
from apps.approvals.models import BulkDecision, Signature
from apps.engine import subjects
from apps.engine.models import WorkflowRun
from apps.engine.namespace import engine_ensure
from tests.approvals.test_bulk import begin, outcomes
from tests.approvals.world import opened, person, rule
from tests.histories import replay
from tests.stage import EngineStage, orm

ITEMS = 12


@pytest.fixture
async def stage(transactional_db: None, temporal_client: Any, task_queue: str) -> EngineStage:
    """The dev server; the worker is the test's."""
    await engine_ensure(temporal_client)
    return EngineStage(client=temporal_client, queue=task_queue, serves="approvals")


@pytest.fixture
async def working(stage: EngineStage) -> AsyncIterator[EngineStage]:
    """The same with a worker of this process."""
    async with stage.working():
        yield stage


async def begun(stage: EngineStage, own: int = 0) -> BulkDecision:
    """A bulk decision over ITEMS requests, and over `own` that the person asked for themselves."""

    bulk = await orm(made, own)
    await stage.deliver()
    return bulk


def made(own: int = 0) -> BulkDecision:
    """The same, before the engine has heard of it."""
    rule()
    requester, reviewer = person("requester"), person("reviewer", "first")
    by = [requester] * ITEMS + [reviewer] * own
    return begin(reviewer, [opened(one, workflow_id="") for one in by])


def run_of(stage: EngineStage, bulk: BulkDecision) -> WorkflowHandle[Any, Any]:
    return stage.client.get_workflow_handle(bulk.workflow_id)


async def row(bulk: BulkDecision) -> BulkDecision:
    return await orm(BulkDecision.objects.select_related("requested_by").get, pk=bulk.pk)


def at_item(monkeypatch: pytest.MonkeyPatch, number: int, do: Callable[[], Any]) -> None:
    """Have something happen when that many items are settled."""
    from apps.approvals.services import bulk_running

    decide, settled = bulk_running.item_decide, iter(range(1, 10_000))

    def wrapped(**arguments: Any) -> str:
        status = decide(**arguments)
        if next(settled) == number:
            do()
        return status

    monkeypatch.setattr(bulk_running, "item_decide", wrapped)


async def test_it_signs_what_can_be_signed_and_its_history_stays_small(
    working: EngineStage,
) -> None:
    bulk = await begun(working, own=3)
    result = await run_of(working, bulk).result()
    assert (result["status"], result["done"], result["failed"]) == ("completed", ITEMS, 3)
    assert await orm(outcomes, bulk) == ["done"] * ITEMS + ["requester_cannot_sign"] * 3
    history = await run_of(working, bulk).fetch_history()
    assert len(history.events) <= 12
    assert await replay.replay(history, replay.registered()) is None


async def test_stopped_in_the_middle_and_resumed(
    working: EngineStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    act: dict[str, Any] = {}
    at_item(monkeypatch, 5, lambda: services.bulk_stop(**act, as_of=timezone.now()))
    bulk = await orm(made)
    act.update(bulk_id=bulk.pk, by=bulk.requested_by, via="page")
    await working.deliver()
    assert (await run_of(working, bulk).result())["status"] == "stopped"
    assert await orm(outcomes, bulk) == ["done"] * 5 + ["stopped"] * (ITEMS - 5)

    bulk = await orm(services.bulk_resume, **act, as_of=timezone.now())
    assert bulk.workflow_id.endswith("-2")
    await working.deliver()
    assert (await run_of(working, bulk).result())["status"] == "completed"
    assert await orm(outcomes, bulk) == ["done"] * ITEMS
    assert await orm(Signature.objects.count) == ITEMS


async def test_a_worker_that_ends_hands_the_rest_to_the_next_one(
    stage: EngineStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = threading.Event()

    def wait_for_the_end() -> None:
        reached.set()
        activity.wait_for_worker_shutdown_sync(30)

    at_item(monkeypatch, 4, wait_for_the_end)
    async with stage.working():
        bulk = await begun(stage)
        assert await orm(reached.wait, 30)
    assert await orm(outcomes, bulk) == ["done"] * 4 + ["waiting"] * (ITEMS - 4)
    async with stage.working():
        assert (await run_of(stage, bulk).result())["done"] == ITEMS
    assert await orm(Signature.objects.count) == ITEMS


async def test_cancelled_in_the_engine_it_signs_nothing_more_and_can_be_resumed(
    working: EngineStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = threading.Event()

    def wait_for_the_end() -> None:
        reached.set()
        activity.wait_for_cancelled_sync(30)

    at_item(monkeypatch, 3, wait_for_the_end)
    bulk = await begun(working)
    assert await orm(reached.wait, 30)
    await run_of(working, bulk).cancel()
    with pytest.raises(WorkflowFailureError):
        await run_of(working, bulk).result()
    described = await run_of(working, bulk).describe()
    assert described.status == WorkflowExecutionStatus.CANCELED
    assert await orm(outcomes, bulk) == ["done"] * 3 + ["waiting"] * (ITEMS - 3)
    # What the mirror does when it has seen the end.
    run = WorkflowRun(workflow_id=bulk.workflow_id, status="cancelled")
    await orm(transaction.atomic(subjects.get("bulk").on_closed), str(bulk.pk), run)
    bulk = await row(bulk)
    assert bulk.status == "stopped"
    resume = {"bulk_id": bulk.pk, "by": bulk.requested_by, "via": "page", "as_of": timezone.now()}
    bulk = await orm(services.bulk_resume, **resume)
    await working.deliver()
    assert (await run_of(working, bulk).result())["done"] == ITEMS


async def test_started_by_hand_under_another_id_it_does_nothing(working: EngineStage) -> None:
    bulk = await orm(made)
    ref = {"bulk_id": str(bulk.pk)}
    handle = await working.client.start_workflow(
        "BulkDecideWorkflow", ref, id=f"by-hand-{bulk.pk}", task_queue=working.queue
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert getattr(failed.value.cause, "type", "") == "not_its_workflow"
    assert await orm(outcomes, bulk) == ["waiting"] * ITEMS
