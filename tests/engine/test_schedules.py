from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
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
