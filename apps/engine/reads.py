"""Reads from Temporal for pages: within one second, and a degraded answer instead of an error."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution as Execution
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from apps.engine.client import shared_client
from apps.engine.error_policy import workflow_is_unknown

#: The longest that a page waits for Temporal.
DEADLINE_SECONDS = 1.0
MOST_EVENTS = 1000

R = TypeVar("R")


@dataclass(frozen=True)
class Answer:
    """`available` is false when Temporal did not answer in time; `error` says why."""

    available: bool = True
    error: str = ""


@dataclass(frozen=True)
class PendingActivity:
    """An activity that waits or runs, with its last failure. `most_attempts`: 0 for no limit."""

    activity_type: str
    state: str
    attempt: int
    last_failure: str = ""
    most_attempts: int = 0
    worker: str = ""
    heartbeat_at: datetime | None = None
    next_try_at: datetime | None = None


@dataclass(frozen=True)
class Description(Answer):
    """A run of a workflow; `found` is false when Temporal knows none. `failure`: what a run that
    failed ended with."""

    found: bool = False
    workflow_id: str = ""
    run_id: str = ""
    workflow_type: str = ""
    task_queue: str = ""
    status: str = ""
    started_at: datetime | None = None
    closed_at: datetime | None = None
    history_length: int = 0
    pending_activities: tuple[PendingActivity, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class Event:
    """One line of a timeline. `detail` names the activity, signal or child, or gives the failure;
    payloads are never shown."""

    id: int
    at: datetime
    kind: str
    detail: str = ""


@dataclass(frozen=True)
class History(Answer):
    """The newest events, oldest first; `truncated` when there are earlier ones."""

    found: bool = False
    events: tuple[Event, ...] = ()
    truncated: bool = False


@dataclass(frozen=True)
class Poller:
    """A worker that polls for tasks. `build_id`: its version; empty without worker versioning."""

    identity: str
    last_seen_at: datetime
    kinds: tuple[str, ...] = ()
    build_id: str = ""


@dataclass(frozen=True)
class QueueState(Answer):
    """The pollers and the backlog of a queue; ages in seconds."""

    name: str = ""
    pollers: tuple[Poller, ...] = field(default=())
    workflow_backlog: int = 0
    activity_backlog: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True)
class QueueStates(Answer):
    """The states of several queues, in the order in which they were asked for."""

    queues: tuple[QueueState, ...] = ()


def describe(workflow_id: str, run_id: str = "") -> Description:
    """Return the workflow's run, the newest unless one is named, as Temporal sees it now."""
    return ask(
        lambda client: _describe(client, workflow_id, run_id),
        lambda error: Description(available=False, error=error, workflow_id=workflow_id),
    )


def history_events(workflow_id: str, limit: int = 200) -> History:
    """Return the newest `limit` (at most 1000) events of the workflow's newest run, oldest
    first."""
    return ask(
        lambda client: _history(client, workflow_id, max(1, min(limit, MOST_EVENTS))),
        lambda error: History(available=False, error=error),
    )


def queue_state(queue: str) -> QueueState:
    """Return pollers and backlog of a task queue."""
    return ask(
        lambda client: _queue(client, queue),
        lambda error: QueueState(available=False, error=error, name=queue),
    )


def queue_states(queues: Sequence[str]) -> QueueStates:
    """Return pollers and backlog of all these queues, within one deadline."""

    async def every(client: Client) -> QueueStates:
        return QueueStates(queues=tuple(await asyncio.gather(*(_queue(client, q) for q in queues))))

    return ask(every, lambda error: QueueStates(available=False, error=error))


# --- calls --------------------------------------------------------------------------------------
_CALL = timedelta(seconds=DEADLINE_SECONDS)
_FAILED = (WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TERMINATED)


async def _describe(client: Client, workflow_id: str, run_id: str) -> Description:
    handle = client.get_workflow_handle(workflow_id, run_id=run_id or None)
    try:
        found = await handle.describe(rpc_timeout=_CALL)
    except RPCError as error:
        if workflow_is_unknown(error):
            return Description(workflow_id=workflow_id)
        raise
    return Description(
        found=True,
        workflow_id=found.id,
        run_id=found.run_id,
        workflow_type=found.workflow_type,
        task_queue=found.task_queue,
        status=found.status.name.lower() if found.status else "",
        started_at=found.start_time,
        closed_at=found.close_time,
        history_length=found.history_length,
        pending_activities=tuple(map(_pending, found.raw_description.pending_activities)),
        failure=await _failure(client, found) if found.status in _FAILED else "",
    )


def _pending(one: PendingActivityInfo) -> PendingActivity:
    return PendingActivity(
        activity_type=one.activity_type.name,
        state=_label(type(one).DESCRIPTOR.fields_by_name["state"], one.state),
        attempt=one.attempt,
        last_failure=_cause(one.last_failure) if one.HasField("last_failure") else "",
        most_attempts=one.maximum_attempts,
        worker=one.last_worker_identity,
        heartbeat_at=_time_of(one, "last_heartbeat_time"),
        next_try_at=_time_of(one, "next_attempt_schedule_time"),
    )


async def _failure(client: Client, run: WorkflowExecution) -> str:
    """Return the message of the event that closed the run."""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=Execution(workflow_id=run.id, run_id=run.run_id),
        maximum_page_size=1,
    )
    service = client.workflow_service
    reply = await service.get_workflow_execution_history_reverse(request, timeout=_CALL)
    return _event(reply.history.events[0]).detail if reply.history.events else ""


async def _history(client: Client, workflow_id: str, limit: int) -> History:
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=Execution(workflow_id=workflow_id),
        maximum_page_size=limit,
    )
    service = client.workflow_service
    try:
        reply = await service.get_workflow_execution_history_reverse(request, timeout=_CALL)
    except RPCError as error:
        if workflow_is_unknown(error):
            return History()
        raise
    events = list(reply.history.events)
    newest = events[:limit]
    return History(
        found=True,
        events=tuple(_event(event) for event in reversed(newest)),
        truncated=len(events) > limit or bool(newest and newest[-1].event_id > 1),
    )


async def _queue(client: Client, queue: str) -> QueueState:
    async def ask(kind: TaskQueueType.ValueType) -> DescribeTaskQueueResponse:
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=kind,
            report_stats=True,
        )
        return await client.workflow_service.describe_task_queue(request, timeout=_CALL)

    workflows, activities = await asyncio.gather(
        ask(TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW), ask(TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    )
    seen: dict[str, Poller] = {}
    for kind, reply in (("workflows", workflows), ("activities", activities)):
        for one in reply.pollers:
            at, before = _time(one.last_access_time), seen.get(one.identity)
            seen[one.identity] = Poller(
                one.identity,
                max(at, before.last_seen_at) if before else at,
                tuple(dict.fromkeys((*(before.kinds if before else ()), kind))),
                _build(one),
            )
    ages = (reply.stats.approximate_backlog_age for reply in (workflows, activities))
    return QueueState(
        name=queue,
        pollers=tuple(seen[identity] for identity in sorted(seen)),
        workflow_backlog=workflows.stats.approximate_backlog_count,
        activity_backlog=activities.stats.approximate_backlog_count,
        oldest_seconds=max(age.seconds + age.nanos / 1e9 for age in ages),
    )


def _event(event: HistoryEvent) -> Event:
    kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
    name = event.WhichOneof("attributes")
    attributes: Any = getattr(event, name) if name else None
    return Event(event.event_id, _time(event.event_time), kind, _detail(attributes))


def _detail(attributes: Any) -> str:
    """Return the first attribute that says what the event is about."""
    fields = set() if attributes is None else set(attributes.DESCRIPTOR.fields_by_name)
    for name in ("activity_type", "workflow_type"):
        if name in fields and (found := getattr(attributes, name).name):
            return str(found)
    for name in ("signal_name", "marker_name", "reason", "timer_id"):
        if name in fields and (found := getattr(attributes, name)):
            return str(found)
    if "failure" in fields and attributes.HasField("failure"):
        return _cause(attributes.failure)
    return ""


def _cause(failure: Failure) -> str:
    """Return the message of the innermost failure: the outer ones say only that it failed."""
    while failure.HasField("cause"):
        failure = failure.cause
    return str(failure.message)[:500]


def _label(descriptor: Any, value: int) -> str:
    """Return the short name of a state: PENDING_ACTIVITY_STATE_STARTED → started."""
    name: str = descriptor.enum_type.values_by_number[value].name
    return name.rpartition("STATE_")[2].lower()


def _build(poller: PollerInfo) -> str:
    told = poller.deployment_options.build_id or poller.worker_version_capabilities.build_id
    # What a worker of ours says without TEMPORAL_BUILD_ID.
    return "" if told == "unversioned" else told


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _time_of(message: Any, field: str) -> datetime | None:
    return _time(getattr(message, field)) if message.HasField(field) else None


def ask(question: Callable[[Client], Coroutine[Any, Any, R]], degraded: Callable[[str], R]) -> R:
    """Return the answer within the deadline, else the degraded one. Blocks: call it from a thread,
    never from an event loop."""
    try:
        return shared_client.ask(question, seconds=DEADLINE_SECONDS)
    except TimeoutError:
        return degraded(f"the engine did not answer within {DEADLINE_SECONDS:g} s")
    except Exception as error:
        return degraded(f"{type(error).__name__}: {error}")
