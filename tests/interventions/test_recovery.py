"""Processes that ended from outside, messages that cannot be delivered, an engine that forgot."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_tick, rule_put
from apps.common.errors import NotAllowed
from apps.engine import effects, process, subjects
from apps.engine import services as engine
from apps.engine.models import EngineCommand, WorkflowRun
from apps.interventions.contracts import ATTENTION_KIND
from apps.interventions.models import Intervention
from apps.interventions.services import (
    attention,
    budgets,
    execution,
    outcomes,
    policies,
    recovery,
    requests,
)
from apps.interventions.services.commands import INTERVENTION
from tests.interventions.conftest import World
from tests.interventions.proof import budget_proof

LARGE = Decimal("20000.00")


def ran(
    intervention: Intervention, status: str, *, saga: bool = False, confirmed: bool = True
) -> WorkflowRun:
    """What the mirror knows of a run."""
    return WorkflowRun.objects.update_or_create(
        workflow_id=intervention.execution_workflow_id if saga else intervention.workflow_id,
        run_id="run-1",
        defaults={
            "workflow_type": "X",
            "status": status,
            "confirmed": confirmed,
            "subject_type": "intervention",
            "subject_id": str(intervention.pk),
        },
    )[0]


def started(intervention: Intervention) -> None:
    """Its start command has been sent."""
    EngineCommand.objects.filter(subject_id=str(intervention.pk)).update(state="sent")


def closed(intervention: Intervention, run: WorkflowRun) -> Intervention:
    subject = subjects.get("intervention")
    assert subject is not None
    with transaction.atomic():
        subject.on_closed(str(intervention.pk), run)
    return Intervention.objects.select_related("budget").get(pk=intervention.pk)


def item(intervention: Intervention) -> ApprovalRequest | None:
    return ApprovalRequest.objects.filter(
        kind=ATTENTION_KIND, subject_id=str(intervention.pk), status="open"
    ).first()


def test_terminated_while_it_waited_it_fails_and_its_request_is_closed(world: World) -> None:
    intervention = world.ask(amount=LARGE)
    started(intervention)
    world.open(intervention)
    row = closed(intervention, ran(intervention, "terminated"))
    assert (row.status, row.error_code) == ("failed", "workflow_terminated")
    assert not ApprovalRequest.objects.open().exists()
    again = closed(intervention, ran(intervention, "terminated"))
    assert again.version == row.version


def test_terminated_with_money_set_aside_and_nothing_executed_the_money_is_free(
    world: World,
) -> None:
    intervention = world.ask()
    started(intervention)
    world.reserve(intervention)
    row = closed(intervention, ran(intervention, "timed_out", saga=True))
    assert (row.status, row.error_code) == ("failed", "workflow_timed_out")
    assert (row.budget.reserved, row.budget.spent) == (0, 0)
    assert budget_proof(row.budget).holds


@pytest.mark.parametrize("finished", [False, True])
def test_terminated_after_the_executor_was_called_a_person_is_asked(
    world: World, finished: bool
) -> None:
    intervention = world.ask()
    started(intervention)
    world.reserve(intervention)
    effects.begin(execution.EXECUTION, intervention.pk)
    if finished:
        effects.finish(execution.EXECUTION, intervention.pk, "R-1")
    run = ran(intervention, "terminated", saga=True)
    row = closed(intervention, run)
    assert row.status == "executing"
    assert row.budget.reserved == Decimal("5000.00")
    asked = item(intervention)
    assert asked is not None
    closed(intervention, run)
    assert ApprovalRequest.objects.filter(kind=ATTENTION_KIND).count() == 1


def test_terminated_after_the_approval_the_decision_is_not_lost(world: World) -> None:
    intervention = world.ask(amount=LARGE)
    started(intervention)
    world.open(intervention)
    world.decide(intervention)
    started(intervention)
    row = closed(intervention, ran(intervention, "terminated"))
    assert row.status == "approved"
    world.decide(intervention, by="reviewer2")
    command = EngineCommand.objects.filter(kind="start").latest("id")
    assert command.workflow_type == "ExecuteInterventionWorkflow"
    assert command.workflow_id == intervention.execution_workflow_id
    assert command.options["allow_duplicate_failed"] is True
    assert command.args[0]["restarted"] is True


def test_nothing_is_settled_while_another_process_carries_it(world: World) -> None:
    waiting, executing, restarting = world.ask(), world.ask(), world.ask()
    for one in (waiting, executing):
        started(one)
    ran(waiting, "running", saga=True)
    assert closed(waiting, ran(waiting, "terminated")).status == "pending"
    world.reserve(executing)
    assert closed(executing, ran(executing, "terminated")).status == "executing"
    assert closed(restarting, ran(restarting, "terminated")).status == "pending"


def test_the_workflow_that_waits_for_a_saga_does_not_carry_it(world: World) -> None:
    intervention = world.ask()
    started(intervention)
    world.reserve(intervention)
    ran(intervention, "running")
    assert closed(intervention, ran(intervention, "terminated", saga=True)).status == "failed"


def test_rejecting_the_item_ends_as_failed_what_was_never_executed(world: World) -> None:
    intervention = world.ask(amount=LARGE)
    started(intervention)
    world.open(intervention)
    world.decide(intervention)
    started(intervention)
    closed(intervention, ran(intervention, "terminated"))
    world.decide(intervention, "reject", by="reviewer2")
    row = Intervention.objects.get(pk=intervention.pk)
    assert (row.status, row.error_code) == ("failed", "given_up")


def test_rejecting_the_item_undoes_what_may_have_been_executed(world: World) -> None:
    intervention = world.ask()
    started(intervention)
    world.reserve(intervention)
    effects.begin(execution.EXECUTION, intervention.pk)
    closed(intervention, ran(intervention, "terminated", saga=True))
    world.decide(intervention, "reject")
    command = EngineCommand.objects.filter(kind="start").latest("id")
    assert command.args[0]["restarted"] is True
    workflow_id = command.workflow_id
    facts = outcomes.saga_facts(intervention_id=intervention.pk, workflow_id=workflow_id)
    assert facts.attention == "rejected"
    assert Intervention.objects.get(pk=intervention.pk).status == "executing"


def test_the_requester_cannot_decide_what_becomes_of_it(world: World) -> None:
    from django.contrib.auth.models import Group

    world.requester.groups.add(Group.objects.get(name="reviewer"))
    intervention = world.ask()
    started(intervention)
    world.reserve(intervention)
    effects.begin(execution.EXECUTION, intervention.pk)
    closed(intervention, ran(intervention, "terminated", saga=True))
    with pytest.raises(NotAllowed) as refused:
        world.decide(intervention, by="requester")
    assert refused.value.code == "requester_cannot_sign"


def test_an_item_that_nobody_signs_in_time_is_asked_again(world: World) -> None:
    band = {"above": None, "tiers": [{"group": "reviewer"}], "expires_hours": 24}
    with transaction.atomic():
        rule_put(kind=ATTENTION_KIND, scope="", currency="", bands=[band], by=None)
    intervention = world.ask()
    attention.attention_open(intervention.pk, code="execution_unknown", detail="No answer.")
    first = item(intervention)
    assert first is not None and first.expires_at is not None
    for _ in range(2):
        tick = request_tick(request_id=first.pk, as_of=first.expires_at)
        assert tick.status == "expired"
    again = item(intervention)
    assert again is not None and again.pk != first.pk
    assert again.expires_at == first.expires_at + timedelta(hours=24)
    payload = again.payloads.get().payload
    assert (payload["code"], payload["detail"]) == ("execution_unknown", "No answer.")
    asked = ApprovalRequest.objects.filter(kind=ATTENTION_KIND)
    assert sorted(asked.values_list("status", flat=True)) == ["expired", "open"]


# --- carrying on that met the old run ------------------------------------------------------------
def carried_on_too_early(world: World) -> Intervention:
    """Executed with steps missing; a person said "carry on" while the run that asked still ran."""
    intervention = world.ask()
    started(intervention)
    world.finish(intervention)
    Intervention.objects.filter(pk=intervention.pk).update(
        error_code="steps_missing", error_detail="Executed, but not done: the feature store"
    )
    attention.attention_open(intervention.pk, code="steps_missing", detail="Not done after it.")
    ran(intervention, "running", saga=True)
    world.decide(intervention)
    # The engine knew a run of that id, so the start is none: the relay notes the run that was.
    EngineCommand.objects.filter(
        subject_id=str(intervention.pk), workflow_id=intervention.execution_workflow_id
    ).update(state="sent", run_id="run-1", settled_at=timezone.now())
    return intervention


def test_a_carry_on_that_met_the_old_run_is_asked_again_when_that_run_has_ended(
    world: World,
) -> None:
    intervention = carried_on_too_early(world)
    assert item(intervention) is None
    run = ran(intervention, "failed", saga=True)
    row = closed(intervention, run)
    assert (row.status, row.error_code) == ("executed", "steps_missing")
    asked = item(intervention)
    assert asked is not None
    payload = asked.payloads.get().payload
    assert payload["code"] == "steps_missing"
    assert "no workflow did" in payload["detail"]
    closed(intervention, run)
    assert ApprovalRequest.objects.filter(kind=ATTENTION_KIND).count() == 2
    world.decide(intervention, "reject", by="reviewer2")
    closed(intervention, run)
    assert item(intervention) is None


def test_a_carry_on_that_began_a_new_run_is_not_asked_again(world: World) -> None:
    intervention = carried_on_too_early(world)
    EngineCommand.objects.filter(run_id="run-1").update(run_id="run-2")
    closed(intervention, ran(intervention, "failed", saga=True))
    assert item(intervention) is None


def test_a_carry_on_whose_start_is_on_its_way_is_not_asked_again(world: World) -> None:
    intervention = carried_on_too_early(world)
    EngineCommand.objects.filter(run_id="run-1").update(run_id="", state="leased")
    closed(intervention, ran(intervention, "failed", saga=True))
    assert item(intervention) is None


@pytest.mark.django_db(transaction=True)
def test_the_reconciler_asks_again_when_the_end_was_told_too_early(shared_world: World) -> None:
    intervention = carried_on_too_early(shared_world)
    ran(intervention, "failed", saga=True)
    result = recovery.reservations_reconcile(limit=100, as_of=timezone.now())
    assert (result.settled, result.attention, result.left) == (0, 1, 0)
    assert item(intervention) is not None
    again = recovery.reservations_reconcile(limit=100, as_of=timezone.now())
    assert (again.settled, again.attention, again.left) == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_a_carry_on_that_an_operator_discards_is_asked_again(shared_world: World) -> None:
    intervention = carried_on_too_early(shared_world)
    ran(intervention, "failed", saga=True)
    EngineCommand.objects.filter(run_id="run-1").update(run_id="", state="parked")
    start = EngineCommand.objects.get(state="parked")
    engine.command_discard(
        command_id=start.pk, by=shared_world.people["reviewer"], via="admin", reason="Stuck."
    )
    asked = item(intervention)
    assert asked is not None
    assert asked.payloads.get().payload["code"] == "steps_missing"


def test_a_carry_on_that_is_ended_from_outside_is_asked_again(world: World) -> None:
    intervention = carried_on_too_early(world)
    ran(intervention, "failed", saga=True)
    EngineCommand.objects.filter(run_id="run-1").update(run_id="run-2", settled_at=timezone.now())
    second = WorkflowRun.objects.get(run_id="run-1")
    second.pk, second.run_id, second.status = None, "run-2", "terminated"
    second.save()
    assert closed(intervention, second).status == "executed"
    assert item(intervention) is not None


@pytest.mark.parametrize(
    "command",
    [
        # The start meets the old run: the relay keeps it, until that run is closed.
        {"state": "pending", "run_id": "", "error": "run-1 still runs"},
        {"state": "leased", "run_id": ""},
        # It began another run, and what the old run's end leaves is told after that.
        {"state": "sent", "run_id": "run-2"},
    ],
)
def test_a_decision_to_carry_on_is_not_lost_to_the_end_of_the_run_that_asked(
    world: World, command: dict[str, str]
) -> None:
    intervention = world.ask()
    started(intervention)
    policies.policy_validate(
        intervention_id=intervention.pk, workflow_id=intervention.execution_workflow_id
    )
    budgets.budget_reserve(intervention_id=intervention.pk)
    attention.attention_open(intervention.pk, code="stuck", detail="Look at it.")
    ran(intervention, "running", saga=True)
    world.decide(intervention)
    again = EngineCommand.objects.filter(
        subject_id=str(intervention.pk), workflow_id=intervention.execution_workflow_id
    ).latest("id")
    settled_at = timezone.now() if command["state"] == "sent" else None
    EngineCommand.objects.filter(pk=again.pk).update(settled_at=settled_at, **command)
    row = closed(intervention, ran(intervention, "failed", saga=True))
    assert (row.status, row.error_code, item(intervention)) == ("executing", "", None)
    assert row.budget.reserved == row.amount


# --- messages ------------------------------------------------------------------------------------
def undeliverable(intervention: Intervention, kind: str) -> None:
    subject = subjects.get("intervention")
    assert subject is not None
    command = EngineCommand.objects.filter(subject_id=str(intervention.pk), kind=kind).latest("id")
    command.error = "workflow execution already completed"
    command.state = "undeliverable"
    command.save()
    with transaction.atomic():
        subject.on_undeliverable(command)


def test_a_signal_that_cannot_be_delivered_becomes_an_item_with_what_and_why(
    world: World,
) -> None:
    intervention = world.ask(amount=LARGE)
    started(intervention)
    world.open(intervention)
    world.decide(intervention)
    undeliverable(intervention, "signal")
    asked = item(intervention)
    assert asked is not None
    payload = asked.payloads.get().payload
    assert payload["code"] == "signal_undeliverable"
    assert "request_settled" in payload["detail"]
    assert "already completed" in payload["detail"]
    assert closed(intervention, ran(intervention, "terminated")).status == "approved"


def test_a_start_that_cannot_be_delivered_can_be_tried_again_by_a_person(world: World) -> None:
    intervention = world.ask()
    undeliverable(intervention, "start")
    world.decide(intervention)
    commands = EngineCommand.objects.filter(kind="start").order_by("id")
    assert [c.workflow_id for c in commands] == [intervention.workflow_id] * 2
    assert commands[1].options["allow_duplicate_failed"] is True


@pytest.mark.django_db(transaction=True)
def test_a_start_that_an_operator_discards_becomes_an_item(shared_world: World) -> None:
    intervention = shared_world.ask()
    command = EngineCommand.objects.get(subject_id=str(intervention.pk), kind="start")
    engine.command_discard(
        command_id=command.pk, by=shared_world.people["reviewer"], via="admin", reason="Stuck."
    )
    asked = item(intervention)
    assert asked is not None
    payload = asked.payloads.get().payload
    assert payload["code"] == "start_undeliverable"
    assert "gave it up: Stuck." in payload["detail"]


def test_a_cancellation_that_finds_nobody_is_no_question(world: World) -> None:
    intervention = world.ask(amount=LARGE)
    started(intervention)
    requests.intervention_cancel(
        intervention_id=intervention.pk, by=world.requester, via="api", as_of=timezone.now()
    )
    undeliverable(intervention, "signal")
    assert item(intervention) is None


# --- restart from the row ------------------------------------------------------------------------
def old(intervention: Intervention) -> Intervention:
    before = timezone.now() - timedelta(hours=1)
    Intervention.objects.filter(pk=intervention.pk).update(created_at=before)
    return intervention


def test_stranded_are_those_that_nothing_and_nobody_carries(world: World) -> None:
    lost, forgotten, running, pending, ended, young, asked = (world.ask() for _ in range(7))
    for one in (lost, forgotten, running, ended, young, asked):
        started(one)
    for one in (lost, forgotten, running, pending, ended, asked):
        old(one)
    ran(lost, "lost")
    ran(running, "running")
    world.finish(ended)
    undeliverable(asked, "start")
    assert set(process.stranded(INTERVENTION)) == {str(lost.pk), str(forgotten.pk)}


def test_a_restart_starts_what_the_status_needs_once(
    shared_world: World, side_by_side: Any
) -> None:
    world = shared_world
    subject = subjects.get("intervention")
    assert subject is not None
    waiting, executing = world.ask(amount=LARGE), world.ask()
    world.open(waiting)
    world.reserve(executing)
    for one in (waiting, executing):
        started(one)
        assert side_by_side(lambda _, one=one: subject.restart(str(one.pk)), 6) == [None] * 6
        command = EngineCommand.objects.get(subject_id=str(one.pk), kind="start", state="pending")
        assert command.args[0]["restarted"] is True
        wanted = one.workflow_id if one is waiting else one.execution_workflow_id
        assert command.workflow_id == wanted


def test_a_settled_one_is_not_restarted(world: World) -> None:
    intervention = world.ask()
    started(intervention)
    world.finish(intervention)
    process.restart(INTERVENTION, intervention.pk)
    assert EngineCommand.objects.filter(kind="start").count() == 1


@pytest.mark.parametrize(
    ("workflow_id", "known"),
    [
        ("intervention-01890a5d-ac96-774b-bcce-b302099a8057", True),
        ("intervention-01890a5d-ac96-774b-bcce-b302099a8057-execution", True),
        ("intervention-nonsense", False),
        ("claim-01890a5d-ac96-774b-bcce-b302099a8057", False),
    ],
)
@pytest.mark.django_db
def test_workflow_ids_lead_back_to_their_rows(workflow_id: str, known: bool) -> None:
    found = subjects.identify_many([workflow_id])
    assert found == (
        {workflow_id: ("intervention", "01890a5d-ac96-774b-bcce-b302099a8057")} if known else {}
    )


# --- the reconciler ------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_reconciler_settles_only_what_the_server_says_is_closed(
    shared_world: World,
) -> None:
    world = shared_world
    terminated, unconfirmed, running, unknown, executed = (world.ask() for _ in range(5))
    for one in (terminated, unconfirmed, running, unknown, executed):
        world.reserve(one)
        started(one)
    effects.begin(execution.EXECUTION, executed.pk)
    ran(terminated, "terminated", saga=True)
    ran(unconfirmed, "terminated", saga=True, confirmed=False)
    ran(running, "running", saga=True)
    ran(executed, "failed", saga=True)
    result = recovery.reservations_reconcile(limit=100, as_of=timezone.now())
    assert (result.settled, result.attention, result.left) == (1, 1, 0)
    statuses = {one.pk: one.status for one in Intervention.objects.all()}
    assert statuses.pop(terminated.pk) == "failed"
    assert set(statuses.values()) == {"executing"}
    again = recovery.reservations_reconcile(limit=100, as_of=timezone.now())
    assert (again.settled, again.attention, again.left) == (0, 0, 1)
    assert budget_proof(terminated.budget).holds


@pytest.mark.django_db
def test_the_reconciler_is_scheduled_by_a_row(world: World) -> None:
    from apps.engine.models import WorkflowSchedule

    schedule = WorkflowSchedule.objects.filter(name="reconcile-interventions").first()
    assert schedule is not None
    assert (schedule.cron, schedule.task_queue) == ("*/5 * * * *", "intervention-critical")
