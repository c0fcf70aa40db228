"""What an operator does to runs and schedules: once, whoever asks again, and at the same time."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.utils import timezone
from temporalio.client import Client

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.identifiers import new_id
from apps.engine import services, subjects
from apps.engine.models import EngineCommand, WorkflowRun, WorkflowSchedule
from apps.engine.services.operating import RUN
from apps.engine.services.schedules import last_asked
from tests.engine.conftest import Background, Outbox, RunningRelay, Sub, settled
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)

SideBySide = Callable[..., list[Any]]
BEYOND = 10**30


@pytest.fixture
def operators() -> list[User]:
    return [User.objects.create(username=f"operator-{number}") for number in range(2)]


def run_of(status: str = "running", **values: Any) -> WorkflowRun:
    ended = None if status == "running" else timezone.now()
    return WorkflowRun.objects.create(
        **{
            "workflow_id": f"w-{new_id().hex[-10:]}",
            "run_id": str(new_id()),
            "workflow_type": "CollectingWorkflow",
            "task_queue": "q",
            "status": status,
            "closed_at": ended,
            "confirmed": True,
            **values,
        }
    )


def entries(action: str) -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(action=action).order_by("id")
    return [(row.outcome, row.code) for row in rows]


# --- runs ----------------------------------------------------------------------------------------
ENDINGS = [("cancel", services.run_cancel), ("terminate", services.run_terminate)]


@pytest.mark.parametrize(("kind", "verb"), ENDINGS)
def test_a_run_is_ended_by_one_command_and_one_entry(
    kind: str, verb: Callable[..., EngineCommand], operators: list[User]
) -> None:
    run = run_of(subject_type="test", subject_id="7")
    asked = {"run_id": run.pk, "via": "page", "reason": " It hangs. "}
    first = verb(by=operators[0], **asked)
    assert verb(by=operators[0], **asked).pk == first.pk
    assert (first.kind, first.workflow_id, first.options) == (
        kind,
        run.workflow_id,
        {"reason": "It hangs."},
    )
    assert (first.subject_type, first.subject_id) == (RUN, str(run.pk))
    assert entries(f"engine.run_{kind}") == [("done", "")]
    entry = AuditEntry.objects.get(action=f"engine.run_{kind}")
    assert (entry.subject_type, entry.subject_id) == ("test", "7")


@pytest.mark.parametrize(("kind", "verb"), ENDINGS)
def test_two_operators_at_once_end_a_run_once(
    kind: str,
    verb: Callable[..., EngineCommand],
    operators: list[User],
    side_by_side: SideBySide,
) -> None:
    run = run_of()

    def end(number: int) -> EngineCommand:
        return verb(run_id=run.pk, by=operators[number], via="page", reason=f"Reason {number}")

    results = side_by_side(end, 2)
    refused = [one for one in results if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["already_asked"]
    assert EngineCommand.objects.filter(kind=kind).count() == 1
    assert sorted(entries(f"engine.run_{kind}")) == [("done", ""), ("refused", "already_asked")]


def test_a_run_that_was_asked_to_cancel_can_be_terminated(operators: list[User]) -> None:
    run = run_of()
    asked = {"run_id": run.pk, "by": operators[0], "via": "page", "reason": "It hangs."}
    services.run_cancel(**asked)
    services.run_terminate(**asked)
    kinds = EngineCommand.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["cancel", "terminate"]


def test_what_came_to_nothing_can_be_asked_for_again(operators: list[User]) -> None:
    run = run_of()
    asked = {"run_id": run.pk, "by": operators[0], "via": "page", "reason": "It hangs."}
    first = services.run_cancel(**asked)
    services.command_discard(command_id=first.pk, by=operators[1], via="page", reason="Too early")
    again = services.run_cancel(**asked)
    assert again.pk != first.pk
    assert again.state == "pending"


@pytest.mark.parametrize(("kind", "verb"), ENDINGS)
def test_what_cannot_be_ended_is_refused_and_audited(
    kind: str, verb: Callable[..., EngineCommand], operators: list[User]
) -> None:
    asked = {"by": operators[0], "via": "page", "reason": "It hangs."}
    ended = run_of("failed")
    with pytest.raises(Conflict) as refusal:
        verb(run_id=ended.pk, **asked)
    assert refusal.value.code == "run_ended"
    with pytest.raises(NotFound):
        verb(run_id=BEYOND, **asked)
    with pytest.raises(Invalid) as missing:
        verb(run_id=run_of().pk, **{**asked, "reason": "  "})
    assert missing.value.code == "reason_required"
    codes = [code for _, code in entries(f"engine.run_{kind}")]
    assert codes == ["run_ended", "not_found", "reason_required"]
    assert not EngineCommand.objects.exists()


def test_a_run_ends_in_the_engine_as_the_operator_asked(
    start_relay: Callable[..., RunningRelay],
    outbox: Outbox,
    worker: str,
    background: Background,
    engine: Client,
    operators: list[User],
) -> None:
    start_relay()
    start = settled(outbox.start("a", signals=1))
    run = WorkflowRun.objects.get(run_id=start.run_id)
    end = services.run_terminate(run_id=run.pk, by=operators[0], via="page", reason="It hangs.")
    settled(end)
    handle = engine.get_workflow_handle(run.workflow_id)
    described = background.run(handle.describe())
    assert described.status is not None
    assert described.status.name == "TERMINATED"


def test_an_operator_who_comes_too_late_troubles_nobody(
    start_relay: Callable[..., RunningRelay], outbox: Outbox, engine: Client, subject: Sub
) -> None:
    run = run_of(subject_type=subject.type, subject_id="7")
    end = services.run_cancel(run_id=run.pk, by=User(username="o"), via="page", reason="It hangs.")
    start_relay()
    settled(end, "undeliverable")
    assert subject.undeliverable == []


# --- restart -------------------------------------------------------------------------------------
@pytest.fixture
def restartable(outbox: Outbox) -> Iterator[str]:
    """A subject whose row is started again once; its type."""
    name = f"again{new_id().hex[-8:]}"

    def restart(identifier: str) -> None:
        waiting = EngineCommand.objects.filter(subject_type=name, state="pending")
        if not waiting.exists():
            outbox.start("row", key=str(new_id()), subject_type=name, subject_id=identifier)

    subjects.register(
        subjects.EngineSubject(
            type=name,
            title="Test",
            restart=restart,
            on_undeliverable=lambda command: None,
            on_closed=lambda identifier, run: None,
            url=lambda identifier: f"/test/{identifier}",
            stranded=lambda: (),
        )
    )
    yield name
    subjects._subjects.pop(name)


def test_a_row_is_started_again_once_by_two_operators(
    restartable: str, operators: list[User], side_by_side: SideBySide
) -> None:
    run = run_of("failed", subject_type=restartable, subject_id="7")

    def again(number: int) -> EngineCommand:
        return services.run_restart(
            run_id=run.pk, by=operators[number], via="page", reason="The cause is removed."
        )

    results = side_by_side(again, 2)
    refused = [one for one in results if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["restart_not_needed"]
    assert EngineCommand.objects.filter(kind="start", subject_type=restartable).count() == 1
    assert sorted(entries("engine.run_restart")) == [
        ("done", ""),
        ("refused", "restart_not_needed"),
    ]


def test_only_an_ended_run_of_a_row_is_started_again(
    restartable: str, operators: list[User]
) -> None:
    asked = {"by": operators[0], "via": "page", "reason": "The cause is removed."}
    running = run_of(subject_type=restartable, subject_id="7")
    with pytest.raises(Conflict) as refusal:
        services.run_restart(run_id=running.pk, **asked)
    assert refusal.value.code == "still_running"
    with pytest.raises(Conflict) as rowless:
        services.run_restart(run_id=run_of("failed").pk, **asked)
    assert rowless.value.code == "no_row"
    assert not EngineCommand.objects.exists()


def test_an_old_run_does_not_start_a_second_workflow_beside_the_one_that_runs(
    restartable: str, operators: list[User]
) -> None:
    old = run_of("failed", subject_type=restartable, subject_id="7")
    run_of(subject_type=restartable, subject_id="7")
    with pytest.raises(Conflict) as refusal:
        services.run_restart(
            run_id=old.pk, by=operators[0], via="page", reason="The cause is removed."
        )
    assert refusal.value.code == "still_running"
    assert not EngineCommand.objects.exists()
    assert entries("engine.run_restart") == [("refused", "still_running")]


# --- schedules -----------------------------------------------------------------------------------
@pytest.fixture
def schedule() -> WorkflowSchedule:
    return WorkflowSchedule.objects.create(
        name=f"nightly-{new_id().hex[-10:]}",
        workflow_type="CollectingWorkflow",
        task_queue="q",
        cron="0 2 * * *",
        note="What it is for.",
    )


def test_a_schedule_is_paused_and_resumed_once(
    schedule: WorkflowSchedule, operators: list[User], side_by_side: SideBySide
) -> None:
    def verb(service: Callable[..., Any]) -> Callable[[int], Any]:
        return lambda number: service(
            name=schedule.name, by=operators[number], via="page", reason="Maintenance"
        )

    for service, paused, code in (
        (services.schedule_pause, True, "already_paused"),
        (services.schedule_resume, False, "not_paused"),
    ):
        results = side_by_side(verb(service), 2)
        assert [one.code for one in results if isinstance(one, Conflict)] == [code]
        schedule.refresh_from_db()
        assert schedule.paused is paused
    assert (schedule.version, schedule.note) == (3, "What it is for.")
    assert EngineCommand.objects.filter(kind="schedule").count() == 2
    assert sorted(entries("engine.schedule_pause")) == [
        ("done", ""),
        ("refused", "already_paused"),
    ]


def test_two_who_saw_the_same_page_begin_one_run(
    schedule: WorkflowSchedule, operators: list[User], side_by_side: SideBySide
) -> None:
    def now(number: int) -> EngineCommand:
        return services.schedule_run_now(
            name=schedule.name, seen=0, by=operators[number], via="page", reason="Needed now"
        )

    results = side_by_side(now, 2)
    assert [one.code for one in results if isinstance(one, Conflict)] == ["already_asked"]
    (command,) = EngineCommand.objects.filter(kind="schedule")
    assert last_asked([schedule.name, "other"]) == {schedule.name: command.pk}
    later = services.schedule_run_now(
        name=schedule.name, seen=command.pk, by=operators[0], via="page", reason="Once more"
    )
    assert later.pk > command.pk


def test_no_schedule_and_no_reason_are_refused(
    schedule: WorkflowSchedule, operators: list[User]
) -> None:
    asked = {"by": operators[0], "via": "page"}
    for service, more in (
        (services.schedule_pause, {}),
        (services.schedule_resume, {}),
        (services.schedule_run_now, {"seen": 0}),
    ):
        with pytest.raises(NotFound):
            service(name="none", reason="Why", **more, **asked)
        with pytest.raises(Invalid):
            service(name=schedule.name, reason=" ", **more, **asked)
    assert not EngineCommand.objects.exists()


def test_a_run_begins_once_however_often_the_command_is_sent(
    start_relay: Callable[..., RunningRelay],
    worker: str,
    background: Background,
    engine: Client,
    schedule: WorkflowSchedule,
    operators: list[User],
) -> None:
    WorkflowSchedule.objects.filter(pk=schedule.pk).update(task_queue=worker, args=[{"name": "a"}])
    start_relay()
    command = services.schedule_run_now(
        name=schedule.name, seen=0, by=operators[0], via="page", reason="Needed now"
    )
    settled(command)
    handle = engine.get_schedule_handle(schedule.name)
    eventually(lambda: background.run(handle.describe()).info.num_actions == 1)
    EngineCommand.objects.filter(pk=command.pk).update(state="pending", settled_at=None)
    settled(command)
    paused = services.schedule_pause(
        name=schedule.name, by=operators[0], via="page", reason="Maintenance"
    )
    eventually(lambda: background.run(handle.describe()).schedule.state.paused)
    assert paused.paused
    assert background.run(handle.describe()).info.num_actions == 1
