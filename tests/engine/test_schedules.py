from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleSpec,
)
from temporalio.service import RPCError

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.common.errors import Invalid, NotFound
from apps.common.identifiers import new_id
from apps.engine import services
from apps.engine.leader_tasks import Duty, _prepare, _schedules
from apps.engine.models import EngineCommand, WorkflowSchedule
from tests.engine.conftest import Background, RunningRelay, settled
from tests.support import eventually

StartRelay = Callable[..., RunningRelay]
Describe = Callable[[], ScheduleDescription | None]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def name() -> str:
    return f"nightly-{new_id().hex[-10:]}"


@pytest.fixture
def described(background: Background, engine: Client, name: str) -> Describe:
    """The engine's schedule, or None."""

    def ask() -> ScheduleDescription | None:
        try:
            return background.run(engine.get_schedule_handle(name).describe())
        except RPCError:
            return None

    return ask


def put(name: str, **changes: object) -> WorkflowSchedule:
    values = {
        "workflow_type": "Nightly",
        "task_queue": "q",
        "cron": "0 2 * * *",
        "time_zone": "America/Sao_Paulo",
        "args": [{"a": 1}],
        "by": ENGINE,
        "via": "admin",
    }
    with transaction.atomic():
        return services.schedule_put(name=name, **(values | changes))  # type: ignore[arg-type]


def sync() -> list[str]:
    out = StringIO()
    call_command("syncschedules", stdout=out)
    return out.getvalue().splitlines()


def test_rows_and_schedules_make_the_round_trip(name: str, described: Describe) -> None:
    put(name)
    assert f"created {name}" in sync()
    assert sync().count(f"unchanged {name}") == 1
    found = described()
    assert found is not None
    assert found.schedule.spec.time_zone_name == "America/Sao_Paulo"
    assert found.schedule.spec.calendars[0].hour[0].start == 2

    assert put(name, cron="30 3 * * 1", paused=True, note="holidays").version == 2
    assert f"updated {name}" in sync()
    found = described()
    assert found is not None
    assert found.schedule.spec.calendars[0].hour[0].start == 3
    assert (found.schedule.state.paused, found.schedule.state.note) == (True, "holidays")
    assert f"unchanged {name}" in sync()

    WorkflowSchedule.objects.all().delete()
    # Lists are a moment behind.
    eventually(lambda: f"removed {name}" in sync())
    assert described() is None


def test_the_engine_knows_how_late_a_run_begins_and_how_long_it_takes(
    name: str, described: Describe
) -> None:
    def limits() -> tuple[timedelta | None, timedelta | None]:
        found = described()
        assert found is not None
        action = found.schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        return found.schedule.policy.catchup_window, action.execution_timeout

    put(name)
    sync()
    assert limits() == (timedelta(hours=1), None)
    hours = {"catch_up_seconds": 22 * 3600, "execution_timeout_seconds": 24 * 3600}
    assert put(name, **hours).version == 2
    assert put(name, **hours).version == 2
    assert f"updated {name}" in sync()
    assert limits() == (timedelta(hours=22), timedelta(hours=24))
    assert f"unchanged {name}" in sync()
    # The least, as the engine has it.
    assert put(name, catch_up_seconds=10, execution_timeout_seconds=0).version == 3
    assert f"updated {name}" in sync()
    assert limits() == (timedelta(seconds=10), None)
    assert f"unchanged {name}" in sync()
    trail = AuditEntry.objects.filter(subject_id=name).order_by("pk")
    bodies: list[Any] = [entry.body for entry in trail]
    after = [body["after"] for body in bodies]
    assert [one["catch_up_seconds"] for one in after] == [3600, 22 * 3600, 10]
    assert [one["execution_timeout_seconds"] for one in after] == [None, 24 * 3600, None]


@pytest.mark.parametrize(
    "change",
    [
        *({"catch_up_seconds": 9}, {"catch_up_seconds": 34_560_001}),
        *({"execution_timeout_seconds": 0}, {"execution_timeout_seconds": 34_560_001}),
    ],
)
def test_the_database_refuses_times_that_the_engine_would_not_keep(
    name: str, change: dict[str, int]
) -> None:
    put(name)
    with pytest.raises(IntegrityError):
        WorkflowSchedule.objects.filter(name=name).update(**change)


def test_the_leading_relay_applies_rows_that_no_command_was_written_for(
    name: str, described: Describe, background: Background, engine: Client, start_relay: StartRelay
) -> None:
    """As the rows of the first start, or of an engine that has lost its schedules."""
    put(name)
    EngineCommand.objects.all().delete()
    start_relay(leader_duties=[Duty("setup", 0.2, _prepare), Duty("schedules", 0.2, _schedules)])
    found = eventually(described)
    assert found is not None
    background.run(engine.get_schedule_handle(name).delete())
    assert eventually(described) is not None


def test_what_somebody_changes_in_the_engine_is_put_right(
    name: str, described: Describe, background: Background, engine: Client
) -> None:
    put(name)
    sync()
    background.run(engine.get_schedule_handle(name).pause(note="by hand"))
    assert f"updated {name}" in sync()
    found = described()
    assert found is not None
    assert found.schedule.state.paused is False


def test_a_schedule_that_is_not_ours_is_left_alone(
    name: str, described: Describe, background: Background, engine: Client
) -> None:
    action = ScheduleActionStartWorkflow("Theirs", id="x", task_queue="q")
    spec = ScheduleSpec(cron_expressions=["0 1 * * *"])
    background.run(engine.create_schedule(name, Schedule(action=action, spec=spec)))
    assert not any(name in line for line in sync())
    put(name)
    with pytest.raises(CommandError):
        sync()
    found = described()
    assert found is not None
    assert isinstance(found.schedule.action, ScheduleActionStartWorkflow)
    assert found.schedule.action.workflow == "Theirs"


def test_a_schedule_is_the_installations_whatever_its_services_are_called(
    name: str, described: Describe, settings: Any
) -> None:
    put(name)
    sync()
    settings.SERVICE_NAME = "conn-dict-worker"
    put(name, cron="0 4 * * *")
    assert f"updated {name}" in sync()
    settings.INSTALLATION = "another"
    put(name, cron="0 5 * * *")
    with pytest.raises(CommandError):
        sync()
    WorkflowSchedule.objects.all().delete()
    assert not any(name in line for line in sync())
    found = described()
    assert found is not None
    assert found.schedule.spec.calendars[0].hour[0].start == 4


def test_the_relay_applies_a_schedule_as_soon_as_it_is_put_and_removed(
    start_relay: StartRelay, name: str, described: Describe
) -> None:
    start_relay()
    put(name)
    command = EngineCommand.objects.get()
    settled(command)
    assert described() is not None
    with transaction.atomic():
        services.schedule_remove(name=name, by=ENGINE, via="admin")
    settled(EngineCommand.objects.latest("pk"))
    eventually(lambda: described() is None)
    actions = AuditEntry.objects.filter(subject_id=name).values_list("action", flat=True)
    assert set(actions) == {"engine.schedule_put", "engine.schedule_remove"}


def test_putting_the_same_again_changes_nothing(name: str) -> None:
    put(name)
    assert put(name).version == 1
    assert EngineCommand.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cron": "0 2 * *"}, "bad_cron"),
        ({"cron": "0 2 * * ; drop"}, "bad_cron"),
        ({"time_zone": "Mars/Base"}, "bad_time_zone"),
        ({"time_zone": "../../etc/passwd"}, "bad_time_zone"),
        ({"args": {"a": 1}}, "bad_arguments"),
        ({"catch_up_seconds": 0}, "bad_catch_up"),
        ({"catch_up_seconds": 9}, "bad_catch_up"),
        ({"catch_up_seconds": 10**30}, "bad_catch_up"),
        ({"execution_timeout_seconds": -1}, "bad_execution_timeout"),
        ({"execution_timeout_seconds": 10**30}, "bad_execution_timeout"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_here(
    name: str, change: dict[str, object], code: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        put(name, **change)
    assert refusal.value.code == code
    assert not WorkflowSchedule.objects.filter(name=name).exists()


def test_an_unknown_schedule_cannot_be_removed(name: str) -> None:
    with pytest.raises(NotFound), transaction.atomic():
        services.schedule_remove(name=name, by=ENGINE, via="admin")
