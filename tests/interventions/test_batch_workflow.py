"""The workflow of a batch, against real Temporal, PostgreSQL and the executor over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from apps.approvals.models import ApprovalRequest
from apps.engine.models import EngineCommand
from apps.engine.namespace import engine_ensure
from apps.interventions.models import Budget, BudgetEntry, Intervention, InterventionBatch
from apps.interventions.services import batches, batches_rows
from apps.interventions.services.batches_rows import progress_of
from tests.histories import replay
from tests.interventions.batch_world import (
    acting,
    asked,
    codes,
    payment,
    payments,
    statuses,
)
from tests.interventions.conftest import World, quick
from tests.interventions.proof import budget_proof
from tests.interventions.stage import Stage
from tests.stage import orm
from tests.support import FULL_SIZE, eventually_async

MANY = 500 if FULL_SIZE else 64
#: Items of a batch that takes five runs, and of each run.
LONG, PER_RUN = (90, 20) if FULL_SIZE else (36, 8)


@pytest.fixture
async def resting(
    shared_world: World, temporal_client: Any, task_queue: str, sink: Any, settings: Any
) -> AsyncIterator[Stage]:
    """The stage without a worker: the test says when one works."""
    quick(settings, sink.url)
    await engine_ensure(temporal_client)
    yield Stage(world=shared_world, client=temporal_client, queue=task_queue, sink=sink)


async def begun(stage: Stage, *args: Any, **kwargs: Any) -> InterventionBatch:
    batch = await orm(asked, stage.world, *args, **kwargs)
    await stage.deliver()
    return batch


def run_of(stage: Stage, batch: InterventionBatch) -> WorkflowHandle[Any, Any]:
    return stage.client.get_workflow_handle(batch.workflow_id)


async def row(batch: InterventionBatch) -> InterventionBatch:
    rows = InterventionBatch.objects.select_related("budget", "requested_by")
    return await orm(rows.get, pk=batch.pk)


async def until(batch: InterventionBatch, **wanted: Any) -> None:
    """Until so many items stand there, or the batch has that status."""

    async def there() -> bool:
        if "status" in wanted and (await row(batch)).status != wanted["status"]:
            return False
        progress = await orm(progress_of, batch)
        return all(getattr(progress, k) >= v for k, v in wanted.items() if k != "status")

    await eventually_async(there, timeout=60)


async def act(stage: Stage, verb: Any, batch: InterventionBatch) -> None:
    await orm(verb, **acting(stage.world, batch))
    await stage.deliver()


async def replays(handle: WorkflowHandle[Any, Any]) -> Exception | None:
    return await replay.replay(await handle.fetch_history(), replay.registered())


def paid(batch: InterventionBatch) -> tuple[int, int]:
    """Ledger lines of reservations and of spending."""
    lines = BudgetEntry.objects.filter(intervention__batch=batch)
    return lines.filter(kind="reserve").count(), lines.filter(kind="commit").count()


@pytest.mark.timeout(900)
async def test_payments_of_which_three_are_bad_with_a_worker_that_is_restarted(
    resting: Stage,
) -> None:
    """All but 3 are paid once each, those say why not; how far it is can be asked at any time."""
    items = payments(MANY, amount="10.00")
    sound = MANY - 3
    items[9]["amount"], items[39]["target"], items[59] = "ten", "", "what?"
    stage = resting
    batch = await begun(stage, items)
    async with stage.working():
        await until(batch, status="running", done=MANY // 8)
        progress = await run_of(stage, batch).query("progress")
        assert progress["total"] == MANY
        assert progress["failed"] == 3
    assert (await row(batch)).status == "running"
    async with stage.working():
        result = await run_of(stage, batch).result()
    assert result["status"] == "completed"
    assert (result["progress"]["done"], result["progress"]["failed"]) == (sound, 3)
    found = [code for code in await orm(codes, batch) if code]
    assert found == ["amount_invalid", "target_invalid", "item_invalid"]
    assert await orm(paid, batch) == (sound, sound)
    budget = await orm(Budget.objects.get, code="main")
    assert (budget.spent, budget.reserved) == (10 * sound, 0)
    assert (await orm(budget_proof, budget)).holds
    assert await orm(Intervention.objects.filter(status="executed").count) == sound


async def test_it_waits_for_its_one_signature(stage: Stage) -> None:
    batch = await begun(stage, payments(3, amount="5000.00"))
    await stage.decide(batch)  # type: ignore[arg-type]
    result = await run_of(stage, batch).result()
    assert (result["status"], result["progress"]["done"]) == ("completed", 3)
    assert await orm(ApprovalRequest.objects.count) == 1
    assert await replays(run_of(stage, batch)) is None


async def test_rejected_it_ends_and_nothing_was_paid(stage: Stage) -> None:
    batch = await begun(stage, payments(3, amount="5000.00"))
    await stage.decide(batch, "reject")  # type: ignore[arg-type]
    result = await run_of(stage, batch).result()
    assert (result["status"], result["code"]) == ("rejected", "rejected")
    assert await orm(Intervention.objects.count) == 0
    assert await replays(run_of(stage, batch)) is None


async def test_nobody_signs_in_time(skipping_stage: Stage) -> None:
    stage = skipping_stage
    batch = await begun(stage, payments(3, amount="5000.00"))
    await eventually_async(lambda: stage.request(batch))  # type: ignore[arg-type]
    await stage.pass_time(hours=73)
    result = await run_of(stage, batch).result()
    assert (result["status"], result["code"]) == ("rejected", "expired")
    assert await replays(run_of(stage, batch)) is None


async def test_a_rule_that_cannot_judge_it_ends_it_with_the_rules_word(stage: Stage) -> None:
    from apps.approvals.rules import rule_put

    def strange() -> None:
        bands = [{"above": "1.00", "tiers": [{"group": "reviewer"}]}]
        with transaction.atomic():
            rule_put(kind="intervention", scope="relief", currency="BRL", bands=bands, by=None)

    await orm(strange)
    batch = await begun(stage)
    result = await run_of(stage, batch).result()
    assert (result["status"], result["code"]) == ("rejected", "currency_mismatch")
    assert await orm(statuses, batch) == ["cancelled"] * 3


async def test_no_more_than_the_limit_are_under_way(stage: Stage, settings: Any) -> None:
    settings.BATCH_CONCURRENCY = 3
    stage.sink.behave(answer_delay_seconds=0.2)
    batch = await begun(stage, 12)
    most = 0
    while (await row(batch)).status != "completed":
        progress = await orm(progress_of, batch)
        most = max(most, progress.running)
        await asyncio.sleep(0)
    assert 1 <= most <= 3
    assert await orm(statuses, batch) == ["done"] * 12


async def test_one_that_fails_in_its_saga_fails_no_other(stage: Stage) -> None:
    await orm(stage.world.budget, "small", "250.00")
    batch = await begun(stage, 4, budget="small")
    result = await run_of(stage, batch).result()
    assert result["status"] == "completed"
    assert sorted(await orm(statuses, batch)) == ["done", "done", "failed", "failed"]
    assert set(await orm(codes, batch)) == {"", "budget_exceeded"}
    assert await replays(run_of(stage, batch)) is None


async def test_paused_and_resumed(stage: Stage, settings: Any) -> None:
    settings.BATCH_CONCURRENCY = 2
    stage.sink.behave(answer_delay_seconds=0.3)
    batch = await begun(stage, 8)
    await until(batch, done=2)
    await act(stage, batches.batch_pause, batch)

    async def quiet() -> bool:
        return (await orm(progress_of, batch)).running == 0

    await eventually_async(quiet, timeout=30)
    progress = await orm(progress_of, batch)
    assert progress.waiting > 0
    described = await run_of(stage, batch).describe()
    assert described.status == WorkflowExecutionStatus.RUNNING
    assert (await orm(progress_of, batch)) == progress
    stage.sink.behave()
    await act(stage, batches.batch_resume, batch)
    assert (await run_of(stage, batch).result())["progress"]["done"] == 8
    assert await replays(run_of(stage, batch)) is None


async def test_cancelled_in_the_middle_what_is_under_way_ends(stage: Stage, settings: Any) -> None:
    settings.BATCH_CONCURRENCY = 2
    stage.sink.behave(answer_delay_seconds=0.5)
    batch = await begun(stage, 8)
    await until(batch, running=2, done=0)
    await act(stage, batches.batch_cancel, batch)
    result = await run_of(stage, batch).result()
    assert result["status"] == "cancelled"
    assert result["progress"]["running"] == 0
    found = await orm(statuses, batch)
    assert set(found) == {"done", "cancelled"}
    assert found.count("done") == (await orm(paid, batch))[1]
    assert await replays(run_of(stage, batch)) is None


async def test_cancelled_while_it_waits_for_the_signature(stage: Stage) -> None:
    batch = await begun(stage, payments(3, amount="5000.00"))
    await eventually_async(lambda: stage.request(batch))  # type: ignore[arg-type]
    await act(stage, batches.batch_cancel, batch)
    assert (await run_of(stage, batch).result())["status"] == "cancelled"
    assert await stage.request(batch) is None  # type: ignore[arg-type]


async def test_cancelled_in_the_engine_counts_like_a_persons_word(
    stage: Stage, settings: Any
) -> None:
    settings.BATCH_CONCURRENCY = 2
    stage.sink.behave(answer_delay_seconds=0.5)
    batch = await begun(stage, 8)
    await until(batch, running=2)
    await run_of(stage, batch).cancel()
    result = await run_of(stage, batch).result()
    assert (result["status"], result["progress"]["running"]) == ("cancelled", 0)
    assert set(await orm(statuses, batch)) == {"done", "cancelled"}
    assert await replays(run_of(stage, batch)) is None


async def test_a_signal_that_nobody_here_sent_decides_nothing(stage: Stage) -> None:
    batch = await begun(stage, payments(3, amount="5000.00"))
    request = await eventually_async(lambda: stage.request(batch))  # type: ignore[arg-type]
    forged = {"command": "forged", "subject_id": str(batch.pk), "note": ""}
    await run_of(stage, batch).signal("request_settled", forged)
    await run_of(stage, batch).signal("batch_changed", forged)
    await stage.decide(batch)  # type: ignore[arg-type]
    assert (await run_of(stage, batch).result())["status"] == "completed"
    assert await orm(ApprovalRequest.objects.get, pk=request.pk)


async def test_a_saga_that_is_ended_from_outside_does_not_keep_the_batch_waiting(
    stage: Stage,
) -> None:
    stage.sink.behave(answer_delay_seconds=1.5)
    batch = await begun(stage, 1)
    await until(batch, running=1)
    intervention = await orm(Intervention.objects.get, batch=batch)

    async def called() -> bool:
        return "execute_intervention" in await stage.steps(intervention)

    await eventually_async(called)
    await stage.saga(intervention).terminate("by an operator")
    result = await run_of(stage, batch).result()
    assert result["status"] == "completed"
    assert await orm(codes, batch) == ["unsettled"]
    assert await replays(run_of(stage, batch)) is None


async def test_terminated_it_is_paused_and_goes_on_where_it_was(
    stage: Stage, settings: Any
) -> None:
    from tests.interventions.test_batches import seen, subject

    settings.BATCH_CONCURRENCY = 2
    stage.sink.behave(answer_delay_seconds=0.3)
    batch = await begun(stage, 6)
    await until(batch, done=1)
    await run_of(stage, batch).terminate("by an operator")
    run = await orm(seen, batch, "terminated")
    await orm(transaction.atomic(subject().on_closed), str(batch.pk), run)
    assert (await row(batch)).status == "paused"
    await act(stage, batches.batch_resume, batch)
    again = await row(batch)
    assert again.workflow_id != batch.workflow_id
    assert (await run_of(stage, again).result())["progress"]["done"] == 6
    assert await orm(paid, batch) == (6, 6)
    assert await replays(run_of(stage, again)) is None


async def ended_after_runs(stage: Stage, batch: InterventionBatch) -> int:
    """Wait for its end; how many runs there were."""
    await run_of(stage, batch).result()
    query = f"WorkflowId = '{batch.workflow_id}'"

    async def all_seen() -> list[Any] | None:
        runs = [run async for run in stage.client.list_workflows(query)]
        closed = [run for run in runs if run.status != WorkflowExecutionStatus.RUNNING]
        return runs if runs and len(closed) == len(runs) else None

    return len(await eventually_async(all_seen, timeout=30))


async def test_a_long_one_continues_as_new_and_ends(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_rows, "ITEMS_PER_RUN", PER_RUN)
    batch = await begun(stage, LONG)
    assert await ended_after_runs(stage, batch) == 5
    assert await orm(statuses, batch) == ["done"] * LONG
    assert await orm(paid, batch) == (LONG, LONG)
    first = await orm(EngineCommand.objects.get, kind="start", workflow_id=batch.workflow_id)
    assert first.args[0]["per_run"] == PER_RUN


@pytest.mark.skipif(not FULL_SIZE, reason="make large runs it: it takes half an hour")
@pytest.mark.timeout(7200)
async def test_twenty_thousand_payments_continue_as_new_and_end(resting: Stage) -> None:
    stage = resting
    await orm(stage.world.budget, "vast", "900000000.00")
    items = [*payments(19_990), *[payment(amount="x")] * 10]
    batch = await begun(stage, items, budget="vast")
    # As production runs them: half of the time otherwise goes into the sandbox.
    async with stage.working(sandboxed=False):
        await stage.decide(batch)  # type: ignore[arg-type]
        await stage.decide(batch, by="senior")  # type: ignore[arg-type]
        assert await ended_after_runs(stage, batch) > 10
    progress = await orm(progress_of, batch)
    assert (progress.done, progress.failed) == (19_990, 10)
    assert await orm(paid, batch) == (19_990, 19_990)
    assert (await orm(budget_proof, (await row(batch)).budget)).holds
    assert (await row(batch)).settled_at <= timezone.now()
