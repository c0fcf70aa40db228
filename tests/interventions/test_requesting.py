"""Asking for an intervention: what is written, what is refused, twice, and two at once."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_edit
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, NotAllowed, NotFound
from apps.engine import effects
from apps.engine.models import EngineCommand
from apps.engine.relay.starting import attributes_of
from apps.interventions.models import Intervention, Policy
from apps.interventions.services import approval, execution, requests
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof


def test_row_audit_entry_and_start_command_are_written_together(world: World) -> None:
    intervention = world.ask(amount=Decimal("12500.5"))
    assert intervention.status == "pending"
    assert intervention.amount == Decimal("12500.50")
    assert intervention.workflow_id == f"intervention-{intervention.pk}"
    command = EngineCommand.objects.get(subject_type="intervention")
    assert command.key == f"intervention:{intervention.pk}:start"
    assert (command.kind, command.workflow_id) == ("start", intervention.workflow_id)
    assert command.workflow_type == "InterventionApprovalWorkflow"
    assert command.args[0]["intervention_id"] == str(intervention.pk)
    assert {pair.key.name: pair.value for pair in attributes_of(command)} == {
        "CountersignSubject": f"intervention:{intervention.pk}",
        "CountersignKind": "intervention",
    }
    entry = AuditEntry.objects.get(action="intervention.requested")
    assert entry.subject_id == str(intervention.pk)
    assert entry.actor_id == world.requester.audit_id


def test_the_same_key_and_body_give_the_same_row(world: World) -> None:
    first, created = requests.intervention_request(**world.body(), idempotency_key="k-1")
    assert created
    again = world.body() | {"amount": Decimal("5000"), "target": " Village cooperative "}
    second, created = requests.intervention_request(**again, idempotency_key="k-1")
    assert not created
    assert second.pk == first.pk
    assert EngineCommand.objects.count() == 1


def test_the_same_key_is_answered_although_the_policy_is_gone_by_then(world: World) -> None:
    first = world.ask(idempotency_key="k-1")
    Policy.objects.filter(code="relief").update(active=False)
    second, created = requests.intervention_request(**world.body(), idempotency_key="k-1")
    assert (second.pk, created) == (first.pk, False)


def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    world.ask(idempotency_key="k-1")
    with pytest.raises(Conflict) as refused:
        world.ask(idempotency_key="k-1", amount=Decimal("5000.01"))
    assert refused.value.code == "idempotency_key_reused"
    assert Intervention.objects.count() == 1


def test_another_persons_key_is_another_key(world: World) -> None:
    world.ask(idempotency_key="k-1")
    world.ask(idempotency_key="k-1", by=world.people["admin"])
    assert Intervention.objects.count() == 2


def test_twelve_at_once_with_one_key_make_one_row(shared_world: World, side_by_side: Any) -> None:
    body = shared_world.body()
    answers = side_by_side(
        lambda _: requests.intervention_request(**body, idempotency_key="k-1"), 12
    )
    assert [created for _, created in answers].count(True) == 1
    assert len({row.pk for row, _ in answers}) == 1
    assert Intervention.objects.count() == EngineCommand.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": Decimal("0")}, "amount_invalid"),
        ({"amount": Decimal("-1")}, "amount_invalid"),
        ({"amount": Decimal("1.001")}, "amount_invalid"),
        ({"amount": Decimal("NaN")}, "amount_invalid"),
        ({"amount": Decimal("Infinity")}, "amount_invalid"),
        ({"amount": Decimal("1e15")}, "amount_invalid"),
        ({"amount": Decimal("1e400")}, "amount_invalid"),
        ({"amount": Decimal("1000000.01")}, "amount_above_limit"),
        ({"currency": "BRL"}, "currency_mismatch"),
        ({"currency": "ngn"}, "currency_invalid"),
        ({"policy": "nobody-knows"}, "policy_not_found"),
        ({"policy": "Not A Slug"}, "code_invalid"),
        ({"target": "Village \u202eevitarepooc"}, "invisible_characters"),
        ({"target": "Village\u200bcooperative"}, "invisible_characters"),
        ({"target": "Village\u200dcooperative"}, "invisible_characters"),
        ({"target": "Village\u3164cooperative"}, "invisible_characters"),
        ({"target": "Village cooperative\ufe0f"}, "invisible_characters"),
        ({"justification": "Roofs\u2028and wells"}, "invisible_characters"),
        ({"budget": "nobody-knows"}, "budget_not_found"),
        ({"target": "   "}, "target_invalid"),
        ({"target": "x" * 201}, "target_invalid"),
        ({"target": "nul\x00byte"}, "target_invalid"),
        ({"justification": "\ud800"}, "justification_invalid"),
        ({"justification": "x" * 5001}, "justification_invalid"),
        ({"idempotency_key": "x" * 121}, "idempotency_key_invalid"),
        ({"idempotency_key": "a\x00b"}, "idempotency_key_invalid"),
    ],
)
def test_wrong_input_is_refused_with_its_code_and_audited(
    world: World, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(DomainError) as refused:
        world.ask(**changes)
    assert refused.value.code == code
    assert not Intervention.objects.exists()
    assert not EngineCommand.objects.exists()
    entry = AuditEntry.objects.get(action="intervention.request")
    assert (entry.outcome, entry.code) == ("refused", code)


def test_a_target_keeps_the_joiners_that_its_script_needs(world: World) -> None:
    for name in ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0915\u094d\u200d\u0937"):
        assert world.ask(target=name).target == name


def test_an_inactive_policy_takes_no_requests(world: World) -> None:
    Policy.objects.filter(code="relief").update(active=False)
    with pytest.raises(Conflict) as refused:
        world.ask()
    assert refused.value.code == "policy_inactive"


def test_who_may_not_ask_is_refused_and_audited(world: World) -> None:
    with pytest.raises(NotAllowed) as refused:
        world.ask(by=world.people["reviewer"])
    assert refused.value.code == "permission_denied"
    assert AuditEntry.objects.get(outcome="refused").actor_id == world.people["reviewer"].audit_id


# --- taking it back ------------------------------------------------------------------------------
def cancel(world: World, intervention: Intervention, by: str = "requester") -> Intervention:
    from django.utils import timezone

    return requests.intervention_cancel(
        intervention_id=intervention.pk,
        by=world.people[by],
        via="api",
        reason="Not needed any more.",
        as_of=timezone.now(),
    )


def test_the_requester_takes_it_back_while_it_waits(world: World) -> None:
    intervention = world.ask(amount=Decimal("20000"))
    world.open(intervention)
    cancelled = cancel(world, intervention)
    assert (cancelled.status, cancelled.error_detail) == ("cancelled", "Not needed any more.")
    assert cancelled.outcome.amount == 0
    request = approval.decision_read(intervention.pk)
    assert request.request_status == "cancelled"
    assert EngineCommand.objects.get(kind="signal").name == "cancel_requested"


def test_cancelling_gives_the_reservation_back(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    cancel(world, intervention)
    budget = intervention.budget
    budget.refresh_from_db()
    assert (budget.reserved, budget.spent) == (0, 0)
    assert budget_proof(budget).holds
    steps = dict(intervention.steps.values_list("name", "status"))
    assert (steps["reserve_budget"], steps["release_budget"]) == ("compensated", "done")


def test_once_the_executor_was_called_it_is_too_late(world: World) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    effects.begin(execution.EXECUTION, intervention.pk)
    with pytest.raises(Conflict) as refused:
        cancel(world, intervention)
    assert refused.value.code == "execution_started"


def test_cancelling_twice_is_refused_the_second_time(world: World) -> None:
    intervention = world.ask()
    cancel(world, intervention)
    with pytest.raises(Conflict) as refused:
        cancel(world, intervention)
    assert refused.value.code == "already_settled"
    assert EngineCommand.objects.filter(kind="signal").count() == 1


@pytest.mark.parametrize(("by", "error"), [("reviewer", NotAllowed), ("requester2", NotFound)])
def test_others_may_not_cancel_and_strangers_do_not_see_it(
    world: World, by: str, error: type[DomainError]
) -> None:
    from django.contrib.auth.models import Group

    from apps.accounts.models import User

    stranger = User.objects.create_user("requester2")
    stranger.groups.add(Group.objects.get(name="requester"))
    world.people["requester2"] = stranger
    intervention = world.ask()
    with pytest.raises(error):
        cancel(world, intervention, by=by)


def test_of_a_cancellation_and_an_execution_at_once_one_wins(
    shared_world: World, side_by_side: Any
) -> None:
    for _ in range(6):
        intervention = shared_world.ask()
        shared_world.reserve(intervention)
        verbs = [
            lambda one=intervention: cancel(shared_world, one),
            lambda one=intervention: effects.begin(execution.EXECUTION, one.pk),
        ]
        outcomes = side_by_side(lambda number, verbs=verbs: verbs[number](), 2)
        refused = [one for one in outcomes if isinstance(one, Conflict)]
        assert len(refused) == 1, outcomes
        assert refused[0].code in {"execution_started", "already_settled"}
    assert budget_proof(intervention.budget).holds


def test_an_edit_is_recorded_as_the_persons_own_at_the_door_they_used(world: World) -> None:
    intervention = world.ask(amount=Decimal("25000.00"))
    world.open(intervention)
    request = ApprovalRequest.objects.get(subject_id=str(intervention.pk))
    request_edit(
        request_id=request.pk,
        by=world.requester,
        changes={"amount": "26000.00"},
        payload_hash=request.payloads.get().hash,
        reason="One more roof.",
        via="page",
        as_of=timezone.now(),
    )
    entry = AuditEntry.objects.get(action="intervention.edited")
    assert (entry.via, entry.actor_id) == ("page", world.requester.audit_id)
