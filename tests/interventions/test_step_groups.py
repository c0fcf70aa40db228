"""Steps that run as a group: the same as one by one, in one transaction."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError
from temporalio.testing import ActivityEnvironment

from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, Unavailable
from apps.engine import effects
from apps.interventions import activities
from apps.interventions.contracts import SAGA_STEPS, StepInput
from apps.interventions.models import BudgetEntry, FeatureValue, Intervention
from apps.interventions.services import budgets, execution, outcomes
from apps.notifications.models import Notification
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof

Patch = pytest.MonkeyPatch


def run(activity: Callable[[StepInput], None], intervention: Intervention) -> None:
    """The activity as the saga's own workflow has it."""
    environment = ActivityEnvironment()
    workflow_id = intervention.execution_workflow_id
    environment.info = replace(environment.info, workflow_id=workflow_id)
    environment.run(activity, StepInput(str(intervention.pk)))


def execute(intervention: Intervention) -> None:
    effects.begin(execution.EXECUTION, intervention.pk)
    effects.finish(execution.EXECUTION, intervention.pk, "R-1")


def grouped(intervention: Intervention) -> None:
    """The whole saga with its steps in groups."""
    run(activities.prepare_execution, intervention)
    execute(intervention)
    run(activities.conclude_execution, intervention)


def steps(intervention: Intervention) -> dict[str, str]:
    return dict(intervention.steps.values_list("name", "status"))


def trace(intervention: Intervention) -> dict[str, Any]:
    """Everything that a saga leaves, without what differs between two of them."""
    intervention.refresh_from_db()
    subject = str(intervention.pk)
    trail = AuditEntry.objects.filter(subject_id=subject).order_by("pk")
    told = Notification.objects.filter(key__contains=subject)
    features = FeatureValue.objects.filter(key__startswith=subject)
    return {
        "row": (intervention.status, intervention.receipt, intervention.error_code),
        "executor": intervention.executor_id == intervention.execution_workflow_id,
        "version": intervention.version,
        "steps": list(intervention.steps.values_list("name", "status", "attempts", "detail")),
        "ledger": list(intervention.entries.order_by("pk").values_list("kind", "amount")),
        "trail": list(trail.values_list("action", "outcome", "code")),
        "told": list(told.order_by("pk").values_list("kind", "recipient__username")),
        "features": sorted(features.values_list("name", flat=True)),
        "outcome": (intervention.outcome.status, intervention.outcome.amount),
    }


def test_grouped_they_leave_what_they_leave_one_by_one(world: World) -> None:
    alone, together = world.ask(target="Alone"), world.ask(target="Together")
    world.finish(alone)
    world.open(together)
    grouped(together)
    assert [name for name, *_ in trace(together)["steps"]] == list(SAGA_STEPS)
    assert trace(together) == trace(alone)


def test_grouped_and_twice_is_once(world: World) -> None:
    intervention = world.ask()
    world.open(intervention)
    run(activities.prepare_execution, intervention)
    run(activities.prepare_execution, intervention)
    execute(intervention)
    run(activities.conclude_execution, intervention)
    before = trace(intervention)
    run(activities.conclude_execution, intervention)
    assert before == trace(intervention)
    assert [kind for kind, _ in before["ledger"]] == ["reserve", "commit"]
    assert budget_proof(intervention.budget).holds


def test_eight_at_once_are_once(shared_world: World, side_by_side: Any) -> None:
    intervention = shared_world.ask()
    shared_world.open(intervention)
    outcomes = side_by_side(lambda _: run(activities.prepare_execution, intervention), 8)
    assert outcomes == [None] * 8
    execute(intervention)
    outcomes = side_by_side(lambda _: run(activities.conclude_execution, intervention), 8)
    assert outcomes == [None] * 8
    found = trace(intervention)
    assert [kind for kind, _ in found["ledger"]] == ["reserve", "commit"]
    assert found["features"] == ["paid_count", "paid_total_ngn"]
    assert found["row"] == ("executed", "R-1", "")


def test_what_stood_before_a_refused_one_stands(world: World) -> None:
    world.budget("small", "100.00")
    intervention = world.ask(budget="small")
    world.open(intervention)
    with pytest.raises(Conflict) as refused:
        run(activities.prepare_execution, intervention)
    assert refused.value.code == "budget_exceeded"
    assert steps(intervention) == {
        "validate_policy": "done",
        "get_policy_details": "done",
        "reserve_budget": "failed",
    }
    audited = AuditEntry.objects.filter(subject_id=str(intervention.pk), outcome="refused")
    assert list(audited.values_list("action", "code")) == [("budget.reserve", "budget_exceeded")]
    assert not BudgetEntry.objects.filter(intervention=intervention).exists()


def test_a_refusal_after_the_execution_leaves_the_rest_to_be_insisted_on(
    world: World, monkeypatch: Patch
) -> None:
    intervention = world.ask()
    world.execute(intervention)

    def refuse(**_: Any) -> None:
        raise Conflict("Nobody can be told.", code="told_to_refuse")

    monkeypatch.setattr(outcomes, "stakeholders_notify", refuse)
    with pytest.raises(Conflict):
        run(activities.conclude_execution, intervention)
    found = steps(intervention)
    assert found["update_feature_store"] == "done"
    assert "record_outcome" not in found
    assert FeatureValue.objects.count() == 2
    assert [e.kind for e in intervention.entries.all()] == ["reserve"]


@pytest.mark.parametrize("broken", [OperationalError("gone"), Unavailable("Away.", code="away")])
def test_an_outage_in_the_middle_undoes_all_and_is_not_repeated_at_once(
    world: World, monkeypatch: Patch, broken: Exception
) -> None:
    intervention = world.ask()
    world.open(intervention)
    calls: list[Any] = []
    real = budgets.budget_reserve

    def fail(**asked: Any) -> None:
        calls.append(asked)
        if len(calls) == 1:
            raise broken
        real(**asked)

    monkeypatch.setattr(budgets, "budget_reserve", fail)
    with pytest.raises(type(broken)):
        run(activities.prepare_execution, intervention)
    assert len(calls) == 1
    assert steps(intervention) == {}
    intervention.refresh_from_db()
    assert intervention.executor_id == ""

    run(activities.prepare_execution, intervention)
    assert set(steps(intervention).values()) == {"done"}
    refused = AuditEntry.objects.filter(subject_id=str(intervention.pk), outcome="refused")
    assert not refused.exists()


def test_an_unknown_one_is_not_found(world: World) -> None:
    intervention = world.ask()
    intervention.pk = "01890000-0000-7000-8000-000000000000"
    with pytest.raises(Exception, match="no such intervention"):
        run(activities.prepare_execution, intervention)
