"""The workflow that waits for a signature, against real Temporal, PostgreSQL and HTTP."""

from decimal import Decimal
from typing import Any

from temporalio.client import WorkflowExecutionStatus

from apps.audit.models import AuditEntry
from apps.engine.contracts import SignalEnvelope
from apps.engine.models import EngineCommand
from apps.interventions.services import approval, requests
from tests.histories import replay
from tests.interventions.stage import Stage
from tests.stage import failure, orm
from tests.support import eventually_async
from workers.workflows.interventions import InterventionApprovalWorkflow

LARGE = Decimal("20000.00")


async def test_a_small_amount_is_executed_without_anybody(stage: Stage) -> None:
    intervention = await stage.ask()
    result = await stage.approval(intervention).result()
    assert result["status"] == "executed"
    assert (await stage.saga(intervention).result())["status"] == "executed"
    row = await stage.row(intervention)
    assert (row.status, row.executor_id) == ("executed", f"{row.workflow_id}-execution")
    assert await stage.ledger(intervention) == ["reserve", "commit"]
    counts = stage.sink.effects(intervention)
    assert (counts["executions"], counts["requests"], counts["reversals"]) == (1, 1, 0)
    assert counts["receipt"] == row.receipt


async def test_an_approved_one_is_executed_and_the_child_carries_the_subject(
    stage: Stage,
) -> None:
    intervention = await stage.ask(amount=LARGE)
    await stage.decide(intervention)
    assert (await stage.approval(intervention).result())["status"] == "executed"
    assert stage.sink.effects(intervention)["executions"] == 1
    described = await stage.saga(intervention).describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes["CountersignSubject"] == f"intervention:{intervention.pk}"
    budget = (await stage.row(intervention)).budget
    assert (budget.reserved, budget.spent) == (0, LARGE)


async def test_two_tiers_wait_for_the_second_signature(stage: Stage) -> None:
    intervention = await stage.ask(amount=Decimal("600000"))
    await stage.decide(intervention)
    assert (await stage.row(intervention)).status == "awaiting_approval"
    await stage.decide(intervention, by="senior")
    assert (await stage.approval(intervention).result())["status"] == "executed"


async def test_a_rejected_one_ends_with_the_budget_untouched(stage: Stage) -> None:
    intervention = await stage.ask(amount=LARGE)
    await stage.decide(intervention, "reject")
    result = await stage.approval(intervention).result()
    assert (result["status"], result["detail"]) == ("rejected", "Checked the papers.")
    assert await stage.ledger(intervention) == []
    assert stage.sink.effects(intervention)["requests"] == 0


async def test_cancelled_while_it_waits(stage: Stage) -> None:
    intervention = await stage.ask(amount=LARGE)
    await stage.status(intervention, "awaiting_approval")
    await orm(cancel, stage, intervention)
    await stage.deliver()
    assert (await stage.approval(intervention).result())["status"] == "cancelled"
    assert await stage.ledger(intervention) == []


async def test_cancelled_before_its_workflow_has_begun(stage: Stage) -> None:
    intervention = await orm(stage.world.ask, amount=LARGE)
    await orm(cancel, stage, intervention)
    await stage.deliver()
    assert (await stage.approval(intervention).result())["status"] == "cancelled"
    assert await stage.request(intervention) is None


async def test_cancelled_in_the_engine_while_it_waits(stage: Stage) -> None:
    intervention = await stage.ask(amount=LARGE)
    await stage.status(intervention, "awaiting_approval")
    await stage.approval(intervention).cancel()
    assert (await stage.approval(intervention).result())["status"] == "cancelled"
    assert (await stage.row(intervention)).status == "cancelled"
    assert await stage.request(intervention) is None


async def test_signals_that_change_nothing_in_the_database_change_nothing(stage: Stage) -> None:
    intervention = await stage.ask(amount=LARGE)
    await stage.status(intervention, "awaiting_approval")
    handle = stage.approval(intervention)
    envelope = SignalEnvelope("by-hand", str(intervention.pk))
    for _ in range(3):
        await handle.signal("request_settled", envelope)
        await handle.signal("cancel_requested", envelope)
    # Written down once, and nothing else has come of it.
    forged = AuditEntry.objects.filter(action="approval.signal", code="not_decided")
    await eventually_async(lambda: orm(forged.count))
    assert await orm(lambda: list(forged.values_list("body__command", flat=True))) == ["by-hand"]
    assert (await stage.row(intervention)).status == "awaiting_approval"
    await stage.decide(intervention)
    # The decision's own signal again, from a relay that was killed before it noted the first.
    request_id = (await orm(approval.decision_read, intervention.pk)).request_id
    await handle.signal(
        "request_settled",
        SignalEnvelope(f"approval:{request_id}:settled", str(intervention.pk)),
    )
    assert (await handle.result())["status"] == "executed"
    history = await handle.fetch_history()
    children = [
        e for e in history.events if e.HasField("child_workflow_execution_started_event_attributes")
    ]
    assert len(children) == 1
    assert stage.sink.effects(intervention)["requests"] == 1


async def test_a_rule_that_cannot_judge_fails_the_request_with_its_code(stage: Stage) -> None:
    from django.db import transaction

    from apps.approvals.services import rule_put

    def brl_rule() -> None:
        with transaction.atomic():
            rule_put(kind="intervention", scope="relief", currency="BRL", bands=[], by=None)

    await orm(brl_rule)
    intervention = await stage.ask()
    result = await stage.approval(intervention).result()
    assert (result["status"], result["code"]) == ("failed", "currency_mismatch")


async def test_a_failed_saga_is_the_result_of_the_request(stage: Stage) -> None:
    stage.sink.behave(refuse_targets=["Nobody"])
    intervention = await stage.ask(target="Nobody")
    result = await stage.approval(intervention).result()
    assert (result["status"], result["code"]) == ("failed", "execution_refused")
    assert await failure(stage.saga(intervention)) == "execution_refused"
    described = await stage.approval(intervention).describe()
    assert described.status == WorkflowExecutionStatus.COMPLETED


async def test_a_saga_that_somebody_started_by_hand_is_followed_to_its_end(stage: Stage) -> None:
    stage.sink.behave(delay_seconds=1)
    intervention = await orm(stage.world.ask)
    by_hand = await stage.by_hand(intervention, f"by-hand-{intervention.pk}")
    await eventually_async(lambda: _executor(stage, intervention))
    await stage.deliver()
    assert (await stage.approval(intervention).result())["status"] == "executed"
    assert (await by_hand.result())["status"] == "executed"
    assert await failure(stage.saga(intervention)) == "already_executing"
    assert stage.sink.effects(intervention)["executions"] == 1


async def _executor(stage: Stage, intervention: Any) -> str:
    return (await stage.row(intervention)).executor_id


# --- days ----------------------------------------------------------------------------------------
async def test_silence_for_three_days_expires_it(skipping_stage: Stage) -> None:
    stage = skipping_stage
    intervention = await stage.ask(amount=LARGE)
    await stage.status(intervention, "awaiting_approval")
    await stage.pass_time(hours=71)
    assert (await stage.row(intervention)).status == "awaiting_approval"
    await stage.pass_time(hours=2)
    result = await stage.approval(intervention).result()
    assert (result["status"], result["code"]) == ("expired", "expired")
    row = await stage.row(intervention)
    assert row.status == "expired"
    assert row.settled_at is not None
    assert (row.settled_at - row.created_at).total_seconds() >= 72 * 3600
    assert await stage.ledger(intervention) == []


async def test_a_decision_on_the_second_day_is_in_time(skipping_stage: Stage) -> None:
    stage = skipping_stage
    intervention = await stage.ask(amount=LARGE)
    await stage.status(intervention, "awaiting_approval")
    await stage.pass_time(hours=40)
    await stage.decide(intervention)
    await stage.status(intervention, "executed")
    result = await stage.approval(intervention).result()
    assert result["status"] == "executed"


async def test_the_clock_of_its_request_runs_in_its_own_workflow(
    skipping_stage: Stage, settings: Any
) -> None:
    stage = skipping_stage
    settings.WORKING_DAYS, settings.WORKING_HOURS = "1-7", "00:00-24:00"
    band = {
        "above": "10000.00",
        "tiers": [{"group": "reviewer", "quorum": 1}],
        "reminder_hours": [24, 48],
        "escalation": {"hours": 60, "group": "senior reviewer"},
        "due_hours": 66,
        "expires_hours": 72,
    }
    await orm(stage.world.policy, "timed", bands=[band])
    intervention = await stage.ask(policy="timed", amount=LARGE)
    request = await eventually_async(lambda: stage.request(intervention))
    async with stage.environment.time_skipping_unlocked():
        result = await stage.approval(intervention).result()
    assert (result["status"], result["code"]) == ("expired", "expired")
    entries = AuditEntry.objects.filter(subject_id=str(request.pk)).order_by("id")
    actions = await orm(lambda: list(entries.values_list("action", flat=True)))
    assert [action.removeprefix("approval.") for action in actions] == [
        *("opened", "reminded", "reminded", "escalated", "overdue", "expired")
    ]
    starts = EngineCommand.objects.filter(kind="start")
    assert await orm(starts.count) == 1
    history = await stage.approval(intervention).fetch_history()
    assert await replay.replay(history, [InterventionApprovalWorkflow]) is None


def cancel(stage: Stage, intervention: Any) -> None:
    from django.utils import timezone

    requests.intervention_cancel(
        intervention_id=intervention.pk,
        by=stage.world.requester,
        via="api",
        as_of=timezone.now(),
    )
