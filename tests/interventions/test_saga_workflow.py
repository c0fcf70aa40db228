"""The saga against real Temporal, PostgreSQL and HTTP: failures, compensation, the deadline."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from apps.approvals.models import ApprovalRequest
from apps.common.errors import Conflict
from apps.engine import effects
from apps.engine.models import WorkflowRun
from apps.interventions.contracts import RECONCILE_WORKFLOW, ReconcileInput
from apps.interventions.models import Intervention
from apps.interventions.services import outcomes, rows
from tests.interventions.proof import budget_proof
from tests.interventions.stage import Stage
from tests.interventions.test_approval_workflow import LARGE, cancel
from tests.stage import failure, orm
from tests.support import eventually_async

Patch = pytest.MonkeyPatch


def refusing(
    monkeypatch: Patch, verb: str, times: int = 10**6, before: Callable[[], None] | None = None
) -> None:
    """Let a service refuse the next calls, as a bug or a rule of tomorrow would."""
    real = getattr(outcomes, verb)
    left = [times]

    def refuse(**kwargs: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise Conflict(f"{verb} refuses", code="told_to_refuse")
        return real(**kwargs)

    monkeypatch.setattr(outcomes, verb, refuse)


def first(monkeypatch: Patch, module: Any, verb: str, action: Callable[[Any], None]) -> None:
    """Do something with the row's id in the moment before a verb is called."""
    real = getattr(module, verb)

    def call(*args: Any, **kwargs: Any) -> Any:
        action(args[1] if module is effects else args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(module, verb, call)


async def items(intervention: Intervention) -> list[ApprovalRequest]:
    asked = ApprovalRequest.objects.filter(
        kind="intervention.attention", subject_id=str(intervention.pk)
    )
    return await orm(lambda: list(asked.order_by("created_at")))


async def ended(stage: Stage, intervention: Intervention) -> Intervention:
    """The row after both workflows are closed."""
    for handle in (stage.approval(intervention), stage.saga(intervention)):
        try:
            await handle.result()
        except Exception as error:
            assert type(error).__name__ == "WorkflowFailureError", error
    return await stage.row(intervention)


# --- the executor --------------------------------------------------------------------------------
async def test_a_refusal_of_the_executor_is_not_repeated_and_frees_the_money(
    stage: Stage,
) -> None:
    stage.sink.behave(refuse_targets=["Nobody"])
    intervention = await stage.ask(target="Nobody")
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("failed", "execution_refused")
    assert "takes no payment" in row.error_detail
    assert await stage.ledger(intervention) == ["reserve", "release"]
    counts = stage.sink.effects(intervention)
    assert (counts["requests"], counts["executions"]) == (1, 0)
    steps = await stage.steps(intervention)
    assert steps["execute_intervention"] == "failed"
    assert steps["reserve_budget"] == "compensated"


@pytest.mark.parametrize("after_effect", [False, True])
async def test_an_outage_of_the_executor_is_waited_for_with_the_same_key(
    stage: Stage, after_effect: bool
) -> None:
    stage.sink.behave(fail_next=2, fail_after_effect=after_effect)
    intervention = await stage.ask()
    row = await ended(stage, intervention)
    assert row.status == "executed"
    counts = stage.sink.effects(intervention)
    assert (counts["requests"], counts["executions"]) == (3, 1)
    attempts = await orm(lambda: intervention.steps.get(name="execute_intervention").attempts)
    assert attempts == 3


async def test_a_call_that_is_longer_than_the_heartbeat_timeout_is_kept_alive(
    stage: Stage, settings: Any
) -> None:
    settings.ACTIVITY_HEARTBEAT_SECONDS = 1.0
    stage.sink.behave(answer_delay_seconds=3)
    intervention = await stage.ask()
    row = await ended(stage, intervention)
    assert row.status == "executed"
    assert stage.sink.effects(intervention)["requests"] == 1


async def test_a_budget_that_does_not_cover_it_fails_it_with_its_code(stage: Stage) -> None:
    await orm(stage.world.budget, "small", "100.00")
    intervention = await stage.ask(budget="small")
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("failed", "budget_exceeded")
    assert await stage.ledger(intervention) == []
    assert stage.sink.effects(intervention)["requests"] == 0


# --- after the execution -------------------------------------------------------------------------
STEPS_AFTER = ["feature_update", "stakeholders_notify", "outcome_record"]


@pytest.mark.parametrize("verb", STEPS_AFTER)
async def test_a_failure_after_a_reversible_execution_undoes_it(
    stage: Stage, monkeypatch: Patch, verb: str
) -> None:
    refusing(monkeypatch, verb)
    intervention = await stage.ask()
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("failed", "told_to_refuse")
    assert await stage.ledger(intervention) == ["reserve", "release"]
    counts = stage.sink.effects(intervention)
    assert (counts["executions"], counts["reversals"]) == (1, 1)
    assert await items(intervention) == []


@pytest.mark.parametrize("verb", STEPS_AFTER[:2])
async def test_after_an_irreversible_execution_the_money_is_spent_and_a_person_is_asked(
    stage: Stage, monkeypatch: Patch, verb: str
) -> None:
    with monkeypatch.context() as broken:
        refusing(broken, verb)
        intervention = await stage.ask(policy="grant")
        row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("executed", "steps_missing")
    assert await stage.ledger(intervention) == ["reserve", "commit"]
    counts = stage.sink.effects(intervention)
    assert (counts["executions"], counts["reversals"]) == (1, 0)
    assert len(await items(intervention)) == 1
    assert await failure(stage.saga(intervention)) == "steps_missing"

    # Mended, and signed: only what is missing is done.
    await stage.decide(intervention)
    assert (await stage.saga(intervention).result())["status"] == "executed"
    assert (await stage.row(intervention)).error_code == ""
    assert set((await stage.steps(intervention)).values()) == {"done"}
    assert stage.sink.effects(intervention)["requests"] == 1
    assert await stage.ledger(intervention) == ["reserve", "commit"]


async def test_a_step_that_is_refused_twice_after_an_irreversible_execution_is_insisted_on(
    stage: Stage, monkeypatch: Patch
) -> None:
    refusing(monkeypatch, "feature_update", times=2)
    intervention = await stage.ask(policy="grant")
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("executed", "")
    assert await items(intervention) == []


async def test_a_reversal_that_is_refused_leaves_the_execution_standing(
    stage: Stage, monkeypatch: Patch
) -> None:
    stage.sink.behave(refuse_reversals=True)
    refusing(monkeypatch, "stakeholders_notify")
    intervention = await stage.ask()
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("executed", "steps_missing")
    assert await stage.ledger(intervention) == ["reserve", "commit"]
    assert (await stage.steps(intervention))["roll_back"] == "failed"
    assert len(await items(intervention)) == 1


# --- the deadline --------------------------------------------------------------------------------
async def test_the_deadline_undoes_a_reversible_execution_that_answers_too_late(
    stage: Stage, settings: Any
) -> None:
    settings.SAGA_DEADLINE_SECONDS = 1.5
    stage.sink.behave(answer_delay_seconds=3)
    intervention = await stage.ask()
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("failed", "deadline_exceeded")
    counts = stage.sink.effects(intervention)
    assert (counts["executions"], counts["reversals"]) == (1, 1)
    assert await stage.ledger(intervention) == ["reserve", "release"]


async def test_the_deadline_voids_a_call_that_never_took_effect(
    stage: Stage, settings: Any
) -> None:
    settings.SAGA_DEADLINE_SECONDS = 1.5
    stage.sink.behave(fail_next=1000)
    intervention = await stage.ask(policy="grant")
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("failed", "deadline_exceeded")
    counts = stage.sink.effects(intervention)
    assert (counts["executions"], counts["void"]) == (0, True)
    assert await stage.ledger(intervention) == ["reserve", "release"]


async def test_an_irreversible_execution_whose_answers_were_lost_is_found_at_the_deadline(
    stage: Stage, settings: Any
) -> None:
    settings.SAGA_DEADLINE_SECONDS = 1.5
    stage.sink.behave(fail_next=1000, fail_after_effect=True)
    intervention = await stage.ask(policy="grant")
    row = await ended(stage, intervention)
    counts = stage.sink.effects(intervention)
    assert (row.status, row.error_code, row.receipt) == ("executed", "", counts["receipt"])
    assert (counts["executions"], counts["reversals"]) == (1, 0)
    assert await stage.ledger(intervention) == ["reserve", "commit"]


@pytest.mark.parametrize(("verdict", "policy"), [("approve", "relief"), ("reject", "grant")])
async def test_an_executor_that_stays_away_is_a_question_and_its_answer_ends_it(
    stage: Stage, settings: Any, verdict: str, policy: str
) -> None:
    settings.SAGA_DEADLINE_SECONDS = 1.5
    stage.sink.behave(fail_next=1000, fail_after_effect=True, fail_reversals=1000)
    intervention = await stage.ask(policy=policy)
    row = await ended(stage, intervention)
    assert row.status == "executing"
    assert await failure(stage.saga(intervention)) == "execution_unknown"
    assert await stage.ledger(intervention) == ["reserve"]
    assert len(await items(intervention)) == 1

    stage.sink.behave()
    await stage.decide(intervention, verdict)
    row = await stage.status(intervention, "failed", "executed")
    counts = stage.sink.effects(intervention)
    if policy == "relief":
        assert row.status == "failed"
        assert (counts["executions"], counts["reversals"]) == (1, 1)
        assert await stage.ledger(intervention) == ["reserve", "release"]
    else:
        assert (row.status, row.error_code) == ("executed", "steps_missing")
        assert (counts["executions"], counts["reversals"]) == (1, 0)
        assert await stage.ledger(intervention) == ["reserve", "commit"]


# --- cancellation in each phase ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("module", "before", "ledger"),
    [
        (rows, "step_group_run", []),
        (effects, "begin", ["reserve", "release"]),
    ],
)
async def test_cancelled_before_the_execution_it_leaves_nothing(
    stage: Stage, monkeypatch: Patch, module: Any, before: str, ledger: list[str]
) -> None:
    done: list[bool] = []

    def take_back(intervention_id: Any) -> None:
        if not done:
            done.append(True)
            cancel(stage, Intervention.objects.get(pk=intervention_id))

    first(monkeypatch, module, before, take_back)
    intervention = await stage.ask()
    row = await ended(stage, intervention)
    assert row.status == "cancelled"
    assert (await stage.saga(intervention).result())["status"] == "cancelled"
    assert (await stage.approval(intervention).result())["status"] == "cancelled"
    assert await stage.ledger(intervention) == ledger
    assert stage.sink.effects(intervention)["requests"] == 0


async def test_cancelled_while_the_executor_works_it_is_too_late(
    stage: Stage, monkeypatch: Patch
) -> None:
    refused: list[str] = []

    def take_back(intervention_id: Any) -> None:
        try:
            cancel(stage, Intervention.objects.get(pk=intervention_id))
        except Conflict as refusal:
            refused.append(refusal.code)

    first(monkeypatch, effects, "finish", take_back)
    intervention = await stage.ask()
    assert (await ended(stage, intervention)).status == "executed"
    assert refused == ["execution_started"]


async def test_cancelled_in_the_engine_during_the_execution_a_reversible_one_is_undone(
    stage: Stage,
) -> None:
    stage.sink.behave(answer_delay_seconds=1.5)
    intervention = await stage.ask()
    await stage.status(intervention, "executing")

    async def called() -> bool:
        return bool((await stage.steps(intervention)).get("execute_intervention"))

    await eventually_async(called)
    await stage.saga(intervention).cancel()
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("cancelled", "cancelled")
    counts = stage.sink.effects(intervention)
    assert counts["executions"] == counts["reversals"] or counts["void"]
    assert await stage.ledger(intervention) == ["reserve", "release"]


# --- started by hand -----------------------------------------------------------------------------
async def test_started_by_hand_without_a_signature_it_is_refused_and_ends_as_failed(
    stage: Stage,
) -> None:
    intervention = await stage.ask(amount=LARGE)
    await stage.status(intervention, "awaiting_approval")
    handle = await stage.by_hand(intervention, f"by-hand-{intervention.pk}")
    assert await failure(handle) == "approval_required"
    row = await stage.row(intervention)
    assert (row.status, row.error_code) == ("failed", "approval_required")
    assert await stage.ledger(intervention) == []
    assert stage.sink.effects(intervention)["requests"] == 0
    assert await stage.request(intervention) is None
    await stage.deliver()
    assert (await stage.approval(intervention).result())["status"] == "failed"


async def test_started_by_hand_a_small_one_is_executed_once(stage: Stage) -> None:
    intervention = await orm(stage.world.ask)
    handle = await stage.by_hand(intervention, f"by-hand-{intervention.pk}")
    assert (await handle.result())["status"] == "executed"
    described = await handle.describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes["CountersignSubject"] == f"intervention:{intervention.pk}"
    again = await stage.by_hand(intervention, f"again-{intervention.pk}")
    assert (await again.result())["status"] == "executed"
    assert stage.sink.effects(intervention)["requests"] == 1


async def test_started_by_hand_for_nothing_it_says_so(stage: Stage) -> None:
    ghost = Intervention(workflow_id="x")
    handle = await stage.by_hand(ghost, f"by-hand-{ghost.pk}")
    assert await failure(handle) == "not_found"


async def test_twenty_sagas_at_once_against_a_budget_for_twelve(stage: Stage) -> None:
    await orm(stage.world.budget, "small", "60000.00")
    asked = [await orm(stage.world.ask, budget="small") for _ in range(20)]
    await stage.deliver()
    rows = [await ended(stage, one) for one in asked]
    assert [row.status for row in rows].count("executed") == 12
    assert [row.error_code for row in rows].count("budget_exceeded") == 8
    budget = (await stage.row(asked[0])).budget
    assert (budget.spent, budget.reserved) == (Decimal("60000.00"), 0)
    assert sum(stage.sink.effects(one)["executions"] for one in asked) == 12
    assert (await orm(budget_proof, budget)).holds


# --- ended from outside --------------------------------------------------------------------------
async def test_terminated_while_the_executor_works_it_is_found_asked_about_and_carried_on(
    stage: Stage,
) -> None:
    stage.sink.behave(answer_delay_seconds=2)
    intervention = await stage.ask()

    async def called() -> bool:
        return "execute_intervention" in await stage.steps(intervention)

    await eventually_async(called)
    await stage.saga(intervention).terminate("by an operator")
    # The workflow that waited for the saga does not hide it: it ends as failed too.
    assert await failure(stage.approval(intervention)) == "unsettled"
    await orm(_seen_by_the_mirror, intervention)

    reconciled = await stage.client.execute_workflow(
        RECONCILE_WORKFLOW, ReconcileInput(), id=f"reconcile-{intervention.pk}",
        task_queue=stage.queue,
    )  # fmt: skip
    assert (reconciled["settled"], reconciled["attention"]) == (0, 1)
    assert (await stage.row(intervention)).status == "executing"
    assert await stage.ledger(intervention) == ["reserve"]

    stage.sink.behave()
    await stage.decide(intervention)
    assert (await stage.saga(intervention).result())["status"] == "executed"
    assert stage.sink.effects(intervention)["executions"] == 1
    assert await stage.ledger(intervention) == ["reserve", "commit"]
    assert await stage.request(intervention) is None


def _seen_by_the_mirror(intervention: Intervention) -> None:
    WorkflowRun.objects.create(
        workflow_id=intervention.execution_workflow_id,
        run_id="terminated",
        workflow_type="ExecuteInterventionWorkflow",
        status="terminated",
        confirmed=True,
        subject_type="intervention",
        subject_id=str(intervention.pk),
    )
