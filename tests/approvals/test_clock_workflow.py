"""The workflow that keeps a clock, against real Temporal and PostgreSQL. Days pass in seconds."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from apps.approvals import services
from apps.approvals.activities.clock import tick_request
from apps.approvals.contracts import SIGNAL_CHANGED, Tick, TickInput
from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE, SignalEnvelope
from apps.engine.models import EngineCommand
from apps.engine.namespace import engine_ensure
from apps.notifications.models import Notification
from tests.approvals import world
from tests.approvals.world import clock_workflow_id
from tests.histories import replay
from tests.stage import EngineStage, orm
from tests.support import eventually_async
from workers.options import worker_options
from workers.workflows.approvals import ApprovalClockWorkflow

DAY = 24
#: Five days: two reminders, an escalation, the due date, and the end.
BAND: dict[str, Any] = {
    "above": None,
    "tiers": [{"group": "first", "quorum": 1}],
    "reminder_hours": [1 * DAY, 2 * DAY],
    "escalation": {"hours": 3 * DAY, "group": "second"},
    "due_hours": 4 * DAY,
    "expires_hours": 5 * DAY,
}


@pytest.fixture
def always_open(transactional_db: None, settings: Any) -> None:
    """Every hour is a working hour: the test does not depend on the day on which it runs."""
    settings.WORKING_DAYS, settings.WORKING_HOURS = "1-7", "00:00-24:00"


@pytest.fixture
async def days(always_open: None, time_skipping: Any, task_queue: str) -> EngineStage:
    """The time-skipping server. The worker is the test's."""
    keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
    await time_skipping.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=time_skipping.client.namespace,
            search_attributes={SUBJECT_ATTRIBUTE: keyword, KIND_ATTRIBUTE: keyword},
        )
    )
    return EngineStage(
        client=time_skipping.client,
        queue=task_queue,
        environment=time_skipping,
        serves="approvals",
    )


@pytest.fixture
async def now(
    always_open: None, temporal_client: Any, task_queue: str
) -> AsyncIterator[EngineStage]:
    """The dev server, and a worker of this process."""
    await engine_ensure(temporal_client)
    stage = EngineStage(client=temporal_client, queue=task_queue, serves="approvals")
    async with stage.working():
        yield stage


async def opened(stage: EngineStage, **changes: Any) -> ApprovalRequest:
    """A request with the clock of BAND, and its workflow started."""
    at = await stage.environment.get_current_time() if stage.environment else None

    def opening() -> ApprovalRequest:
        for name in ("first", "second"):
            world.group(name)
        world.person("ada", "first")
        world.person("chief", "second")
        world.rule([BAND])
        more = {"as_of": at} if at else {}
        return world.opened(world.person("requester"), workflow_id="", **more, **changes)

    request = await orm(opening)
    await stage.deliver()
    return request


def clock_of(stage: EngineStage, request: ApprovalRequest) -> WorkflowHandle[Any, Any]:
    return stage.client.get_workflow_handle(request.clock_id or clock_workflow_id(request.pk))


async def end_of(stage: EngineStage, request: ApprovalRequest) -> Any:
    """The result, days later; time passes whenever the workflow only waits."""
    async with stage.environment.time_skipping_unlocked():
        return await clock_of(stage, request).result()


def happened(request: ApprovalRequest) -> list[str]:
    entries = AuditEntry.objects.filter(subject_id=str(request.pk)).order_by("id")
    return [action.removeprefix("approval.") for action in entries.values_list("action", flat=True)]


def told() -> list[tuple[str, str]]:
    messages = Notification.objects.filter(channel=Notification.Channel.IN_APP).order_by("id")
    found = messages.values_list("kind", "recipient__username")
    return [(kind.removeprefix("approval."), who) for kind, who in found if kind in KINDS]


KINDS = {"approval.reminder", "approval.escalated"}
FIVE_DAYS = ["opened", "reminded", "reminded", "escalated", "overdue", "expired"]
#: The second tier of people is asked from the escalation on.
MESSAGES = [("reminder", "ada"), ("reminder", "ada"), ("escalated", "chief")]


async def assert_five_days(
    stage: EngineStage, request: ApprovalRequest, *, latest: timedelta = timedelta(seconds=5)
) -> None:
    """Each event happened once, at its time or at the `latest` so much after it, and nobody was
    told twice."""
    row = await orm(world.fresh, request)
    assert row.status == "expired"
    assert await orm(happened, request) == FIVE_DAYS
    assert await orm(told) == MESSAGES
    assert await orm(lambda: world.domain.settled) == [(str(request.pk), "expired")]
    late = [
        datetime.fromisoformat(event["done_at"]) - datetime.fromisoformat(event["at"])
        for event in row.clock
    ]
    assert row.expires_at is not None and row.settled_at is not None
    late.append(row.settled_at - row.expires_at)
    assert len(late) == 5
    assert all(timedelta(0) <= by < latest for by in late), late


async def test_a_request_of_five_days_is_reminded_twice_escalated_and_expires(
    days: EngineStage,
) -> None:
    request = await opened(days)
    async with days.working():
        result = await end_of(days, request)
    assert result == {"request_id": str(request.pk), "status": "expired"}
    await assert_five_days(days, request)
    history = await clock_of(days, request).fetch_history()
    timers = [e for e in history.events if e.HasField("timer_fired_event_attributes")]
    assert len(timers) == 5
    assert await replay.replay(history, [ApprovalClockWorkflow]) is None


async def test_another_worker_goes_on_where_one_stopped(days: EngineStage) -> None:
    request = await opened(days)
    # Without a cache: this server waits ten seconds for the worker that had the workflow.
    async with working_with(days, tick_request, max_cached_workflows=0):
        await days.pass_time(hours=1.5 * DAY)
        await eventually_async(lambda: orm(told))
    async with days.working():
        await end_of(days, request)
    # A task that the server gave to the first worker as it stopped waits ten seconds more.
    await assert_five_days(days, request, latest=timedelta(seconds=20))


async def test_ticks_whose_answers_are_lost_do_everything_once(days: EngineStage) -> None:
    seen: set[datetime] = set()

    @activity.defn(name="tick_request")
    def forgetful(input: TickInput) -> Tick:
        tick = services.request_tick(request_id=input.request_id, as_of=input.as_of)
        if input.as_of not in seen:
            # As a worker that is killed after the commit and before its answer.
            seen.add(input.as_of)
            raise ConnectionError("the answer is lost")
        return tick

    request = await opened(days)
    async with working_with(days, forgetful):
        await end_of(days, request)
    assert len(seen) >= 6
    await assert_five_days(days, request)


@asynccontextmanager
async def working_with(stage: EngineStage, tick: Any, **options: Any) -> AsyncIterator[None]:
    async with Worker(
        stage.client,
        task_queue=stage.queue,
        workflows=[ApprovalClockWorkflow],
        activities=[tick],
        activity_executor=ThreadPoolExecutor(4),
        **worker_options(),
        **options,
    ):
        yield


async def test_a_signature_on_the_second_day_ends_the_clock(days: EngineStage) -> None:
    request = await opened(days)
    async with days.working():
        await days.pass_time(hours=1.5 * DAY)
        await eventually_async(lambda: orm(told))
        await orm(lambda: world.decide(request, world.User.objects.get(username="ada")))
        await days.deliver()
        result = await end_of(days, request)
    assert result["status"] == "approved"
    assert await orm(told) == MESSAGES[:1]


async def test_a_forged_signal_is_audited_and_decides_nothing(now: EngineStage) -> None:
    request = await opened(now)
    handle = clock_of(now, request)
    real = f"approval:{request.pk}:clock:settled"
    for command in ("by-hand", real, "by-hand"):
        await handle.signal(SIGNAL_CHANGED, SignalEnvelope(command, str(request.pk)))

    def refused() -> list[str]:
        entries = AuditEntry.objects.filter(subject_id=str(request.pk), outcome="refused")
        return sorted(entries.values_list("body__command", flat=True))

    both = await eventually_async(lambda: _both(refused))
    assert both == sorted(["by-hand", real])
    row = await orm(world.fresh, request)
    assert (row.status, row.version) == ("open", request.version)
    # The real one is heard although somebody has used its name.
    await orm(lambda: world.decide(request, world.User.objects.get(username="ada")))
    await now.deliver()
    assert (await handle.result())["status"] == "approved"


async def _both(refused: Any) -> list[str]:
    found: list[str] = await orm(refused)
    return found if len(found) > 1 else []


async def test_a_row_that_was_restored_gets_its_workflow_again(now: EngineStage) -> None:
    request = await opened(now)
    await clock_of(now, request).terminate()
    await orm(EngineCommand.objects.all().delete)

    def restart() -> list[str]:
        from apps.engine.reconcile import reconcile

        long_ago = request.created_at - timedelta(hours=1)
        ApprovalRequest.objects.update(created_at=long_ago)
        return [name for name in reconcile() if name.startswith("approval:")]

    assert await orm(restart) == [f"approval:{request.pk}"]
    assert await orm(restart) == []
    # The row says which ids were given: the new run has one of its own.
    await orm(request.refresh_from_db)
    assert request.clock_id == clock_workflow_id(request.pk, 2)
    await now.deliver()
    # The restart may have an id of its own: the newest start names it.
    started = EngineCommand.objects.filter(kind="start", subject_id=str(request.pk))
    handle = now.client.get_workflow_handle((await orm(started.latest, "id")).workflow_id)
    described = await handle.describe()
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    assert attributes[SUBJECT_ATTRIBUTE] == f"approval:{request.pk}"
    await orm(lambda: world.decide(request, world.User.objects.get(username="ada")))
    await now.deliver()
    assert (await handle.result())["status"] == "approved"
