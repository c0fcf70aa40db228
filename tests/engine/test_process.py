"""Rows that a workflow carries, whatever row it is: ids of second runs, and starts under way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.approvals.services import bulk_resume, bulk_stop, request_cancel
from apps.audit.contracts import ENGINE
from apps.common.errors import Conflict
from apps.engine import leader_tasks, process, subjects, sweeper
from apps.engine import services as engine
from apps.engine.forgetting import commands_forget
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.subjects import EngineSubject
from apps.interventions.models import Intervention, InterventionBatch
from apps.interventions.services import batches
from apps.interventions.services.commands import INTERVENTION
from tests.approvals import test_clock as clocks
from tests.approvals import world as approvals
from tests.approvals.test_bulk import begin
from tests.interventions.batch_world import acting, asked, opened
from tests.interventions.conftest import (  # noqa: F401 - fixtures
    World,
    shared_world,
    world,
)

SideBySide = Callable[..., list[Any]]
HOUR = timedelta(hours=1)


def subject(name: str) -> EngineSubject:
    found = subjects.get(name)
    assert found is not None
    return found


def starts(row: Any) -> list[EngineCommand]:
    return list(EngineCommand.objects.filter(kind="start", subject_id=str(row.pk)).order_by("id"))


def ids(row: Any) -> list[str]:
    """Of the row's starts, without the row's id."""
    return [command.workflow_id.partition(str(row.pk))[2] for command in starts(row)]


def sent(ago: timedelta = HOUR, **changes: Any) -> None:
    """All commands were sent so long ago."""
    EngineCommand.objects.update(state="sent", settled_at=timezone.now() - ago, **changes)


def ran(kind: str, row: Any, workflow_id: str, status: str, run_id: str = "run-1") -> WorkflowRun:
    """What the mirror knows of a run."""
    return WorkflowRun.objects.update_or_create(
        workflow_id=workflow_id,
        run_id=run_id,
        defaults={
            "workflow_type": "X",
            "status": status,
            "confirmed": True,
            "subject_type": kind,
            "subject_id": str(row.pk),
        },
    )[0]


def closed(kind: str, row: Any, run: WorkflowRun) -> None:
    with transaction.atomic():
        subject(kind).on_closed(str(row.pk), run)


def old(row: Any) -> None:
    type(row).objects.filter(pk=row.pk).update(created_at=timezone.now() - HOUR)


@pytest.fixture
def batch(world: World) -> InterventionBatch:  # noqa: F811
    """A batch that runs, under the id that it was begun with."""
    made = asked(world)
    opened(made)
    sent()
    return made


def resumed(world: World, batch: InterventionBatch) -> InterventionBatch:  # noqa: F811
    """Its workflow was ended by somebody, and a person goes on."""
    batch.refresh_from_db()
    run = ran("intervention-batch", batch, batch.workflow_id, "terminated")
    closed("intervention-batch", batch, run)
    return batches.batch_resume(**acting(world, batch))


# --- the ids of second runs ----------------------------------------------------------------------
def test_each_run_has_a_number_of_its_own(world: World, batch: InterventionBatch) -> None:  # noqa: F811
    for _ in range(3):
        resumed(world, batch)
        sent()
    assert ids(batch) == ["", "-2", "-3", "-4"]


def test_a_number_is_not_given_again_when_commands_were_deleted(
    world: World,  # noqa: F811
    batch: InterventionBatch,
) -> None:
    resumed(world, batch)
    EngineCommand.objects.all().delete()
    resumed(world, batch)
    assert ids(batch) == ["-3"]


def test_a_number_that_ran_after_the_backup_is_not_given_again(
    world: World,  # noqa: F811
    batch: InterventionBatch,
) -> None:
    # Row and commands are those of the backup; the sweeper has listed what the engine ran since.
    ran("intervention-batch", batch, f"intervention-batch-{batch.pk}-12", "completed")
    resumed(world, batch)
    assert ids(batch) == ["", "-13"]


def test_an_id_of_another_kind_is_no_number(world: World, batch: InterventionBatch) -> None:  # noqa: F811
    for number, strange in enumerate(("-x", "-execution", "-0", "-2-3", "-9999999999")):
        workflow_id = f"intervention-batch-{batch.pk}{strange}"
        ran("intervention-batch", batch, workflow_id, "completed", f"run-{number}")
    resumed(world, batch)
    assert ids(batch) == ["", "-2"]


def test_while_it_waits_for_its_signature_it_keeps_its_id(world: World) -> None:  # noqa: F811
    waiting = asked(world)
    for _ in range(3):
        sent()
        subject("intervention-batch").restart(str(waiting.pk))
    assert ids(waiting) == [""] * 4
    assert [c.options.get("allow_duplicate_failed", False) for c in starts(waiting)] == [
        False,
        True,
        True,
        True,
    ]


def test_one_that_keeps_its_id_is_started_again_however_many_commands_are_left(
    world: World,  # noqa: F811
) -> None:
    intervention = world.ask()
    for _ in range(4):
        sent()
        newest = starts(intervention)[-1]
        EngineCommand.objects.exclude(pk=newest.pk).delete()
        subject("intervention").restart(str(intervention.pk))
        assert [command.state for command in starts(intervention)] == ["sent", "pending"]


def test_a_bulk_decision_resumed_after_its_commands_were_deleted_runs_under_a_new_id(
    db: None,
) -> None:
    approvals.rule()
    requester, reviewer = approvals.person("requester"), approvals.person("reviewer", "first")
    bulk = begin(reviewer, [approvals.opened(requester)])
    actor = {"by": reviewer, "via": "api", "as_of": timezone.now()}
    for number in (2, 3):
        EngineCommand.objects.all().delete()
        services_bulk(bulk, **actor)
        bulk.refresh_from_db()
        assert bulk.workflow_id == f"bulk-{bulk.pk}-{number}"


def services_bulk(bulk: Any, **actor: Any) -> None:
    bulk_stop(bulk_id=bulk.pk, **actor)
    bulk_resume(bulk_id=bulk.pk, **actor)


def test_a_clock_hears_of_the_end_also_when_its_start_was_deleted(db: None) -> None:
    request = clocks.opened(clocks.make_people(), band={"expires_hours": 24 * 300})
    EngineCommand.objects.all().delete()
    request_cancel(request_id=request.pk, by=request.requested_by, reason="", as_of=timezone.now())
    told = EngineCommand.objects.get(kind="signal")
    assert told.workflow_id == f"approval-{request.pk}-clock"


# --- a start that is under way -------------------------------------------------------------------
def test_a_start_that_was_sent_a_moment_ago_is_under_way(
    world: World,  # noqa: F811
) -> None:
    intervention, batch = world.ask(), asked(world)
    for row in (intervention, batch):
        old(row)
    sent(timedelta(seconds=1), run_id="run-1")
    assert subject("intervention").stranded() == []
    assert subject("intervention-batch").stranded() == []
    subject("intervention").restart(str(intervention.pk))
    assert ids(intervention) == [""]
    # The mirror knows what it began, and the engine has forgotten it: it has arrived.
    ran("intervention", intervention, intervention.workflow_id, "lost")
    ran("intervention-batch", batch, batch.workflow_id, "lost")
    assert subject("intervention").stranded() == [str(intervention.pk)]
    assert subject("intervention-batch").stranded() == [str(batch.pk)]
    sent(HOUR, run_id="run-2")
    assert subject("intervention").stranded() == [str(intervention.pk)]


def test_the_end_of_an_old_run_settles_nothing_while_a_start_was_sent_a_moment_ago(
    world: World,  # noqa: F811
) -> None:
    intervention = world.ask()
    sent()
    run = ran("intervention", intervention, intervention.workflow_id, "terminated")
    subject("intervention").restart(str(intervention.pk))
    sent(timedelta(seconds=1), run_id="run-2")
    closed("intervention", intervention, run)
    row = Intervention.objects.get(pk=intervention.pk)
    assert row.status == "pending"
    # The run of the new start has ended too: now nothing carries it.
    closed(
        "intervention",
        intervention,
        ran("intervention", intervention, intervention.workflow_id, "terminated", "run-2"),
    )
    assert Intervention.objects.get(pk=intervention.pk).status == "failed"


def test_restarted_twice_or_at_once_it_is_started_once(
    shared_world: World,  # noqa: F811
    side_by_side: SideBySide,
) -> None:
    rows = {"intervention": shared_world.ask(), "intervention-batch": asked(shared_world)}
    opened(rows["intervention-batch"])
    sent()
    for kind, row in rows.items():
        restart = subject(kind).restart
        assert side_by_side(lambda _, go=restart, pk=row.pk: go(str(pk)), 4) == [None] * 4
        restart(str(row.pk))
        assert len(starts(row)) == 2


async def test_stranded_rows_wait_until_what_ran_after_the_backup_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    async def compare(*_: object, **__: object) -> int:
        calls.append("compare")
        return 0

    async def sweep(*_: object, **__: object) -> int:
        calls.append("sweep")
        if calls.count("sweep") == 1:
            raise RuntimeError("visibility is away")
        return 0

    async def client() -> Any:
        return None

    monkeypatch.setattr(sweeper, "compare", compare)
    monkeypatch.setattr(sweeper, "sweep", sweep)
    leader = leader_tasks.Leader(client=client, prepared=asyncio.Event())
    try:
        with pytest.raises(RuntimeError):
            await leader_tasks._sweep(leader)
        assert not leader.compared.is_set()
        await leader_tasks._sweep(leader)
        assert leader.compared.is_set()
    finally:
        leader.close()


# --- a start that an operator discards ------------------------------------------------------------
def given_up(row: Any) -> EngineCommand:
    """The row's newest start, parked, and discarded by an operator long ago."""
    EngineCommand.objects.filter(pk=starts(row)[-1].pk).update(state="parked", settled_at=None)
    command = starts(row)[-1]
    engine.command_discard(command_id=command.pk, by=ENGINE, via="admin", reason="no use")
    EngineCommand.objects.filter(pk=command.pk).update(settled_at=timezone.now() - HOUR)
    old(row)
    return command


def retry(command: EngineCommand) -> None:
    engine.command_retry(command_id=command.pk, by=ENGINE, via="admin", reason="after all")


@pytest.mark.django_db(transaction=True)
def test_a_discarded_start_stays_discarded_until_an_operator_sends_it_again() -> None:
    request = clocks.opened(clocks.make_people(), band={"expires_hours": 24 * 300})
    command = given_up(request)
    assert subject("approval").stranded() == []
    retry(command)
    assert [start.state for start in starts(request)] == ["discarded", "pending"]
    # Once: the newest start is another one now.
    with pytest.raises(Conflict, match="newer"):
        retry(command)
    given_up(request)
    with transaction.atomic():
        end = {"by": request.requested_by, "reason": "", "as_of": timezone.now()}
        request_cancel(request_id=request.pk, **end)
    with pytest.raises(Conflict, match="needs no workflow"):
        retry(starts(request)[-1])


@pytest.mark.django_db(transaction=True)
def test_a_batch_whose_start_was_discarded_waits_for_a_person(shared_world: World) -> None:  # noqa: F811
    batch = asked(shared_world)
    opened(batch)
    sent()
    resumed(shared_world, batch)
    given_up(batch)
    batch.refresh_from_db()
    assert (batch.status, batch.error_code) == ("paused", "workflow_closed")
    assert subject("intervention-batch").stranded() == []
    batches.batch_resume(**acting(shared_world, batch))
    assert [start.state for start in starts(batch)] == ["sent", "discarded", "pending"]


@pytest.mark.django_db(transaction=True)
def test_a_workflow_that_was_started_by_hand_after_its_start_was_discarded_is_woken(
    shared_world: World,  # noqa: F811
) -> None:
    batch = asked(shared_world)
    opened(batch)
    sent()
    resumed(shared_world, batch)
    given_up(batch)
    batch.refresh_from_db()
    ran("intervention-batch", batch, batch.workflow_id, "running", "by-hand")
    batches.batch_resume(**acting(shared_world, batch))
    assert [start.state for start in starts(batch)] == ["sent", "discarded"]
    signal = EngineCommand.objects.filter(kind="signal", subject_id=str(batch.pk)).latest("id")
    assert (signal.workflow_id, signal.state) == (batch.workflow_id, "pending")


# --- what is deleted with age --------------------------------------------------------------------
def test_the_starts_of_rows_that_have_ended_are_deleted_and_those_of_others_stay(
    world: World,  # noqa: F811
    batch: InterventionBatch,
) -> None:
    resumed(world, batch)
    resumed(world, batch)
    sent(timedelta(days=8))
    WorkflowRun.objects.update(status="terminated")
    commands_forget()
    assert ids(batch) == ["", "-2", "-3"]
    InterventionBatch.objects.filter(pk=batch.pk).update(status="cancelled")
    commands_forget()
    assert ids(batch) == []


def test_a_row_that_runs_again_after_its_commands_were_forgotten_gets_a_new_number(
    db: None,
) -> None:
    approvals.rule()
    requester, reviewer = approvals.person("requester"), approvals.person("reviewer", "first")
    bulk = begin(reviewer, [approvals.opened(requester)])
    actor = {"by": reviewer, "via": "api", "as_of": timezone.now()}
    services_bulk(bulk, **actor)
    bulk_stop(bulk_id=bulk.pk, **actor)
    sent(timedelta(days=8))
    commands_forget()
    assert ids(bulk) == []
    bulk_resume(bulk_id=bulk.pk, **actor)
    assert ids(bulk) == ["-3"]


@pytest.mark.parametrize("kind", ["intervention", "intervention-batch", "bulk", "approval"])
def test_a_row_that_is_gone_or_was_none_needs_no_starts(kind: str, db: None) -> None:
    gone = ["00000000-0000-7000-8000-000000000000", "no id at all"]
    ended = subject(kind).ended
    assert ended is not None
    assert list(ended(gone)) == gone


# --- whose a workflow is --------------------------------------------------------------------------
STRANGE = ["", "\0", "x" * 201, "intervention-" + "x" * 200, "\u0663", "claim-test-002\n"]


@pytest.mark.django_db
def test_rows_are_found_by_foreign_ids_in_one_query(
    world: World,  # noqa: F811
    django_assert_num_queries: Any,
) -> None:
    own, foreign = world.ask(), world.ask()
    Intervention.objects.filter(pk=foreign.pk).update(workflow_id="claim-test-001")
    second = f"intervention-{own.pk}-2"
    named, by_column = {second: str(own.pk)}, {"claim-test-001": str(foreign.pk)}
    asked = [*named, *by_column, *STRANGE, *(f"unknown-{number}" for number in range(200))]
    with django_assert_num_queries(0):
        assert process.subjects_of(INTERVENTION, asked) == named
    others_start_it = replace(INTERVENTION, foreign_ids=True)
    with django_assert_num_queries(1):
        assert process.subjects_of(others_start_it, asked) == named | by_column
    with django_assert_num_queries(0):
        assert process.subjects_of(others_start_it, [second, *STRANGE]) == named


@pytest.mark.django_db
def test_ids_that_are_not_made_of_the_rows_are_looked_up(
    world: World,  # noqa: F811
    django_assert_num_queries: Any,
) -> None:
    own, foreign = world.ask(), world.ask()
    Intervention.objects.filter(pk=own.pk).update(workflow_id="intervention-ada-1")
    Intervention.objects.filter(pk=foreign.pk).update(workflow_id="claim-test-001")
    named, by_column = {"intervention-ada-1": str(own.pk)}, {"claim-test-001": str(foreign.pk)}
    asked = [*named, *by_column, *STRANGE, *(f"intervention-{number}" for number in range(200))]
    kept = replace(INTERVENTION, own_id=True)
    with django_assert_num_queries(1):
        assert process.subjects_of(kept, asked) == named
    with django_assert_num_queries(1):
        assert process.subjects_of(replace(kept, foreign_ids=True), asked) == named | by_column
