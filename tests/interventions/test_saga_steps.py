"""The steps of the saga as services: in order, twice, refused, and against each other."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import rule_put
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, NotFound
from apps.engine import effects
from apps.interventions import executor
from apps.interventions.contracts import SAGA_STEPS, Execution
from apps.interventions.models import FeatureValue, Intervention, Outcome, Policy
from apps.interventions.services import approval, budgets, outcomes, policies
from apps.interventions.services.execution import EXECUTION
from apps.notifications.models import Notification
from apps.outbound.calls import Refused
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof


def fresh(intervention: Intervention) -> Intervention:
    return Intervention.objects.get(pk=intervention.pk)


def test_all_seven_steps_end_as_executed_with_the_money_spent(world: World) -> None:
    intervention = world.ask()
    world.finish(intervention)
    row = fresh(intervention)
    assert (row.status, row.receipt, row.error_code) == ("executed", "R-1", "")
    assert [s.name for s in row.steps.all()] == list(SAGA_STEPS)
    assert {s.status for s in row.steps.all()} == {"done"}
    assert [e.kind for e in row.entries.all()] == ["reserve", "commit"]
    assert row.budget.spent == Decimal("5000.00")
    assert row.outcome.amount == Decimal("5000.00")
    assert budget_proof(row.budget).holds


def test_every_step_twice_is_once(world: World) -> None:
    intervention = world.ask()
    world.finish(intervention)
    before = (
        AuditEntry.objects.filter(outcome="done").count(),
        FeatureValue.objects.count(),
        Notification.objects.count(),
        Outcome.objects.count(),
    )
    effects.finish(EXECUTION, intervention.pk, "R-1")
    outcomes.feature_update(intervention_id=intervention.pk)
    outcomes.stakeholders_notify(intervention_id=intervention.pk)
    outcomes.outcome_record(intervention_id=intervention.pk)
    budgets.budget_commit(intervention_id=intervention.pk)
    after = (
        AuditEntry.objects.filter(outcome="done").count(),
        FeatureValue.objects.count(),
        Notification.objects.count(),
        Outcome.objects.count(),
    )
    assert after == before
    assert budget_proof(intervention.budget).holds


def test_an_execution_that_is_repeated_counts_its_attempts(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    for _ in range(3):
        assert effects.begin(EXECUTION, intervention.pk).receipt == ""
    assert intervention.steps.get(name="execute_intervention").attempts == 3
    effects.finish(EXECUTION, intervention.pk, "R-1")
    assert effects.begin(EXECUTION, intervention.pk).receipt == "R-1"
    with pytest.raises(Conflict):
        effects.finish(EXECUTION, intervention.pk, "R-2")


# --- the signature -------------------------------------------------------------------------------
def test_a_small_amount_is_approved_without_a_signature(world: World) -> None:
    intervention = world.ask(amount=Decimal("10000.00"))
    assert world.open(intervention).status == "approved"
    assert not ApprovalRequest.objects.exists()


def test_a_larger_one_waits_and_an_approval_lets_it_through(world: World) -> None:
    intervention = world.ask(amount=Decimal("10000.01"))
    decision = world.open(intervention)
    assert (decision.status, decision.request_status) == ("awaiting_approval", "open")
    assert world.open(intervention).request_id == decision.request_id
    world.decide(intervention)
    assert fresh(intervention).status == "approved"
    world.validate(intervention)
    assert fresh(intervention).status == "executing"


def test_two_tiers_need_both_signatures(world: World) -> None:
    intervention = world.ask(amount=Decimal("500000.01"))
    world.open(intervention)
    world.decide(intervention)
    assert fresh(intervention).status == "awaiting_approval"
    world.decide(intervention, by="senior")
    assert fresh(intervention).status == "approved"


def test_a_rejection_ends_it_at_once_with_the_budget_untouched(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    world.open(intervention)
    world.decide(intervention, "reject")
    row = fresh(intervention)
    assert (row.status, row.error_code) == ("rejected", "rejected")
    assert row.error_detail == "Checked the papers."
    assert not row.entries.exists()
    assert Notification.objects.get(recipient=world.requester).kind == "approval.settled"


def test_silence_expires_it_and_too_early_changes_nothing(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    decision = world.open(intervention)
    assert decision.expires_at is not None
    early = approval.intervention_expire(intervention.pk, as_of=timezone.now())
    assert early.status == "awaiting_approval"
    late = approval.intervention_expire(intervention.pk, as_of=decision.expires_at)
    assert (late.status, late.request_status) == ("expired", "expired")
    again = approval.intervention_expire(intervention.pk, as_of=decision.expires_at)
    assert again.status == "expired"


def test_another_workflow_cannot_open_the_request(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    with pytest.raises(Conflict) as refused:
        approval.approval_open(intervention.pk, workflow_id="by-hand", as_of=timezone.now())
    assert refused.value.code == "not_its_workflow"


def test_without_the_signature_the_saga_is_refused(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    with pytest.raises(DomainError) as refused:
        world.validate(intervention)
    assert refused.value.code == "approval_required"
    world.open(intervention)
    with pytest.raises(DomainError) as refused:
        world.validate(intervention)
    assert refused.value.code == "approval_required"
    assert AuditEntry.objects.filter(action="policy.validate", outcome="refused").count() == 2


def test_a_signature_for_another_amount_is_no_signature(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    world.open(intervention)
    world.decide(intervention)
    Intervention.objects.filter(pk=intervention.pk).update(amount=Decimal("900000"))
    with pytest.raises(DomainError) as refused:
        world.validate(intervention)
    assert refused.value.code == "approval_required"


def test_a_rule_that_became_stricter_holds_for_what_has_not_begun(world: World) -> None:
    intervention = world.ask()
    world.open(intervention)
    bands = [{"above": None, "tiers": [{"group": "reviewer", "quorum": 1}]}]
    rule_put(kind="intervention", scope="relief", currency="NGN", bands=bands, by=None)
    with pytest.raises(DomainError) as refused:
        world.validate(intervention)
    assert refused.value.code == "approval_required"


def test_a_rule_that_was_relaxed_does_not_let_an_open_request_be_passed_by(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000.00"))
    assert world.open(intervention).request_id
    rule_put(kind="intervention", scope="relief", currency="NGN", bands=[], by=None)
    with pytest.raises(DomainError) as refused:
        world.validate(intervention)
    assert refused.value.code == "approval_required"


def test_only_one_workflow_executes_an_intervention(world: World) -> None:
    intervention = world.ask()
    world.open(intervention)
    world.validate(intervention)
    world.validate(intervention)
    with pytest.raises(Conflict) as refused:
        policies.policy_validate(intervention_id=intervention.pk, workflow_id="by-hand")
    assert refused.value.code == "already_executing"


def test_a_policy_that_was_switched_off_stops_the_saga_and_a_newer_version_does_not(
    world: World,
) -> None:
    first, second = world.ask(), world.ask()
    world.policy("relief", reversible=False)
    world.open(first)
    world.validate(first)
    assert policies.policy_details(intervention_id=first.pk).version == 1
    Policy.objects.filter(code="relief").update(active=False)
    with pytest.raises(Conflict) as refused:
        world.validate(second)
    assert refused.value.code == "policy_inactive"


@pytest.mark.parametrize("unknown", ["nonsense", "", "01890a5d-ac96-774b-bcce-b302099a8057"])
def test_an_unknown_intervention_is_not_found_by_any_step(world: World, unknown: str) -> None:
    calls: list[Any] = [
        lambda: policies.policy_validate(intervention_id=unknown, workflow_id="w"),
        lambda: budgets.budget_reserve(intervention_id=unknown),
        lambda: effects.begin(EXECUTION, unknown),
        lambda: outcomes.saga_facts(intervention_id=unknown),
        lambda: approval.decision_read(unknown),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()


# --- backwards -----------------------------------------------------------------------------------
def undo(intervention: Intervention, execution: Execution, receipt: str = "") -> None:
    assert effects.undo_begin(EXECUTION, intervention.pk).needed
    effects.undo_finish(EXECUTION, intervention.pk, execution, receipt)


def test_a_reversed_execution_gives_money_and_features_back(world: World) -> None:
    intervention = world.ask()
    world.execute(intervention)
    outcomes.feature_update(intervention_id=intervention.pk)
    undo(intervention, Execution.REVERSED)
    budgets.budget_release(intervention_id=intervention.pk)
    outcomes.intervention_settle(
        intervention_id=intervention.pk, status="failed", code="late", detail="too late"
    )
    row = fresh(intervention)
    assert (row.status, row.error_code) == ("failed", "late")
    steps = dict(row.steps.values_list("name", "status"))
    assert steps["execute_intervention"] == steps["update_feature_store"] == "compensated"
    assert steps["roll_back"] == steps["release_budget"] == "done"
    values = FeatureValue.objects.filter(name="paid_total_ngn").order_by("id")
    assert list(values.values_list("value", flat=True)) == [5000, 0]
    assert budget_proof(row.budget).holds
    assert row.budget.available == row.budget.total


def test_once_a_reversal_was_begun_nothing_goes_forwards(world: World) -> None:
    intervention = world.ask()
    world.execute(intervention)
    effects.undo_begin(EXECUTION, intervention.pk)
    for verb in ("feature_update", "stakeholders_notify", "outcome_record"):
        with pytest.raises(Conflict) as refused:
            getattr(outcomes, verb)(intervention_id=intervention.pk)
        assert refused.value.code == "being_undone"
    with pytest.raises(Conflict) as refused:
        effects.begin(EXECUTION, intervention.pk)
    assert refused.value.code == "being_undone"


def test_an_irreversible_execution_is_only_voided_and_stands_when_it_took_effect(
    world: World,
) -> None:
    intervention = world.ask(policy="grant")
    world.reserve(intervention)
    effects.begin(EXECUTION, intervention.pk)
    reversal = effects.undo_begin(EXECUTION, intervention.pk)
    assert (reversal.needed, reversal.void_only) == (True, True)
    effects.undo_finish(EXECUTION, intervention.pk, Execution.DONE, "R-9")
    outcomes.outcome_record(intervention_id=intervention.pk, missing="the feature store")
    row = fresh(intervention)
    assert (row.status, row.receipt, row.error_code) == ("executed", "R-9", "steps_missing")
    assert row.budget.spent == Decimal("5000.00")
    outcomes.feature_update(intervention_id=intervention.pk)
    outcomes.outcome_record(intervention_id=intervention.pk)
    assert fresh(intervention).error_code == ""


def test_a_refused_reversal_leaves_the_execution_standing_or_asks(world: World) -> None:
    known, unknown = world.ask(), world.ask()
    world.execute(known)
    effects.undo_begin(EXECUTION, known.pk)
    effects.undo_refuse(EXECUTION, known.pk, "not any more")
    outcomes.outcome_record(intervention_id=known.pk)
    assert fresh(known).status == "executed"
    world.reserve(unknown)
    effects.begin(EXECUTION, unknown.pk)
    effects.undo_begin(EXECUTION, unknown.pk)
    with pytest.raises(Conflict) as refused:
        effects.undo_refuse(EXECUTION, unknown.pk, "not any more")
    assert refused.value.code == "execution_unknown"


def test_a_refusal_that_comes_after_a_twin_has_reversed_it_is_no_word_that_it_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    intervention = world.ask()
    world.execute(intervention)

    def reverse(row: Intervention, *, void_only: bool) -> Any:
        # An attempt that was given up for dead is answered meanwhile.
        effects.undo_finish(EXECUTION, row.pk, Execution.REVERSED)
        raise Refused("executor", 409, {"code": "reversed_already"})

    monkeypatch.setattr(executor, "reverse", reverse)
    monkeypatch.setattr(effects, "heartbeating", lambda call, *args: call(*args))
    assert effects.undo(EXECUTION, intervention.pk) == Execution.REVERSED
    assert outcomes.saga_facts(intervention_id=intervention.pk).execution == Execution.REVERSED


def test_a_refused_execution_frees_the_money(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    effects.begin(EXECUTION, intervention.pk)
    effects.refuse(EXECUTION, intervention.pk, "no such account")
    with pytest.raises(Conflict):
        effects.begin(EXECUTION, intervention.pk)
    facts = outcomes.intervention_settle(
        intervention_id=intervention.pk, status="failed", code="execution_refused", detail="no"
    )
    assert (facts.status, facts.reserved) == ("failed", False)
    assert budget_proof(intervention.budget).holds


def test_what_was_executed_cannot_be_settled_as_failed(world: World) -> None:
    intervention = world.ask()
    world.execute(intervention)
    with pytest.raises(Conflict) as refused:
        outcomes.intervention_settle(
            intervention_id=intervention.pk, status="failed", code="x", detail="x"
        )
    assert refused.value.code == "execution_stands"
    assert fresh(intervention).status == "executing"


def test_a_settled_intervention_takes_part_in_nothing(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    outcomes.intervention_settle(
        intervention_id=intervention.pk, status="cancelled", code="cancelled", detail=""
    )
    for call in (
        lambda: world.validate(intervention),
        lambda: budgets.budget_reserve(intervention_id=intervention.pk),
        lambda: effects.begin(EXECUTION, intervention.pk),
        lambda: effects.undo_begin(EXECUTION, intervention.pk),
    ):
        with pytest.raises(Conflict) as refused:
            call()
        assert refused.value.code == "already_settled"


def test_requester_and_signers_are_told_once_each(world: World) -> None:
    intervention = world.ask(amount=Decimal("600000"))
    world.open(intervention)
    world.decide(intervention)
    world.decide(intervention, by="senior")
    world.finish(intervention)
    told = Notification.objects.filter(kind="intervention.executed")
    people = {"requester", "reviewer", "senior"}
    assert set(told.values_list("recipient__username", flat=True)) == people
    assert told.count() == 3
    assert set(told.values_list("state", flat=True)) == {"delivered"}
