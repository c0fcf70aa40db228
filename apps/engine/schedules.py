"""Makes Temporal's Schedules equal to the rows of WorkflowSchedule."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from temporalio.api.enums.v1 import ScheduleOverlapPolicy as OverlapPolicy
from temporalio.api.schedule.v1 import SchedulePatch, TriggerImmediatelyRequest
from temporalio.api.workflowservice.v1 import PatchScheduleRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)
from temporalio.service import RPCError

from apps.common import correlation
from apps.common.canonical_json import digest
from apps.common.errors import Conflict
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE
from apps.engine.db_threads import Threads
from apps.engine.error_policy import workflow_is_unknown
from apps.engine.models import WorkflowSchedule

logger = correlation.get_logger(__name__)

#: Memo of our schedules: this INSTALLATION, whatever its services are called. Other schedules are
#: never changed.
OWNER = "managed_by"
CALL = timedelta(seconds=5)
#: A change is visible in the schedule's description within this time.
SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Applied:
    """The result: created, updated, removed, unchanged, absent; or failed, with the error."""

    name: str
    done: str
    error: str = ""


async def synchronise(client: Client, *, threads: Threads) -> list[Applied]:
    """Make every schedule of ours equal to its row, and remove those without one. Idempotent.

    A schedule that fails is in the result and does not stop the others. Raises RPCError when the
    schedules cannot be listed.
    """
    names = set(await threads.run(_names))
    listed = await client.list_schedules(rpc_timeout=CALL)
    async for entry in listed:
        if (await entry.memo()).get(OWNER) == settings.INSTALLATION:
            names.add(entry.id)
    return await _apply_each(client, names, threads=threads)


async def apply_rows(client: Client, *, threads: Threads) -> list[Applied]:
    """As `synchronise`, but without removing schedules that have no row: no other process with a
    database of its own loses its schedules by this."""
    return await _apply_each(client, set(await threads.run(_names)), threads=threads)


async def _apply_each(client: Client, names: set[str], *, threads: Threads) -> list[Applied]:
    results = []
    for name in sorted(names):
        try:
            results.append(Applied(name, await apply(client, name, threads=threads)))
        except Exception as error:
            logger.warning("a schedule was not applied", schedule=name, error=str(error))
            results.append(Applied(name, "failed", f"{type(error).__name__}: {error}"))
    return results


async def apply(client: Client, name: str, *, threads: Threads) -> str:
    """Make one schedule equal to its current row; return what was done.

    Raises Conflict `schedule_not_ours` when somebody else's schedule has the name.
    """
    row = await threads.run(_row, name)
    handle = client.get_schedule_handle(name)
    found = await _describe(handle)
    if found is not None and (await found.memo()).get(OWNER) != settings.INSTALLATION:
        if row is None:
            return "absent"
        raise Conflict(
            filled(_("the engine has a schedule {name!r} that is not ours"), name=name),
            code="schedule_not_ours",
        )
    if row is None:
        return await _remove(handle, found)
    digests = {"row": digest(_fields(row))}
    if found is not None and row.applied == digests | {"engine": _digest(found)}:
        return "unchanged"
    if found is None:
        done = await _create(client, row)
    else:
        await handle.update(_updater(row), rpc_timeout=CALL)
        done = "updated"
    before = found.info.last_updated_at if found else None
    described = await _described_after(handle, before)
    if described is not None:
        await threads.run(_note_applied, row, digests | {"engine": _digest(described)})
    return done


async def run_now(client: Client, name: str, *, request: str) -> None:
    """Let the schedule begin a run, unless one is under way. The same `request` begins one run,
    however often it is sent. Raises RPCError."""
    await client.workflow_service.patch_schedule(
        PatchScheduleRequest(
            namespace=client.namespace,
            schedule_id=name,
            patch=SchedulePatch(
                trigger_immediately=TriggerImmediatelyRequest(
                    overlap_policy=OverlapPolicy.SCHEDULE_OVERLAP_POLICY_SKIP
                )
            ),
            identity=client.identity,
            # `ScheduleHandle.trigger` would make a new one for each call.
            request_id=request,
        ),
        timeout=CALL,
    )


async def _create(client: Client, row: WorkflowSchedule) -> str:
    try:
        await client.create_schedule(
            row.name,
            _schedule(row),
            memo={OWNER: settings.INSTALLATION},
            rpc_timeout=CALL,
        )
    except ScheduleAlreadyRunningError as error:
        # Somebody created it first: the next attempt finds out whether it is ours.
        raise TryAgain(str(error)) from error
    return "created"


class TryAgain(OSError):
    """The server's answer is out of date: try again."""


async def _remove(handle: ScheduleHandle, found: ScheduleDescription | None) -> str:
    if found is None:
        return "absent"
    try:
        await handle.delete(rpc_timeout=CALL)
    except RPCError as error:
        if not workflow_is_unknown(error):
            raise
    return "removed"


async def _describe(handle: ScheduleHandle) -> ScheduleDescription | None:
    try:
        return await handle.describe(rpc_timeout=CALL)
    except RPCError as error:
        if workflow_is_unknown(error):
            return None
        raise


async def _described_after(
    handle: ScheduleHandle, before: datetime | None
) -> ScheduleDescription | None:
    """Return the description that shows our change; None if it does not in time (the next
    synchronisation then writes the same again)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    while True:
        found = await _describe(handle)
        if found is not None and (before is None or found.info.last_updated_at != before):
            return found
        if before is None or loop.time() > deadline:
            # On some servers the first change leaves `last_updated_at` empty.
            return found
        await asyncio.sleep(0.05)


def _digest(found: ScheduleDescription) -> str:
    """Return a digest of Temporal's description, which shows changes by anybody else."""
    raw = found.raw_description.schedule.SerializeToString(deterministic=True)
    return hashlib.sha256(raw).hexdigest()


def _updater(row: WorkflowSchedule) -> Any:
    def update(_: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(_schedule(row))

    return update


def _schedule(row: WorkflowSchedule) -> Schedule:
    subject = SearchAttributePair(
        SearchAttributeKey.for_keyword(SUBJECT_ATTRIBUTE), f"schedule:{row.name}"
    )
    kind = SearchAttributePair(SearchAttributeKey.for_keyword(KIND_ATTRIBUTE), "schedule")
    timeout = row.execution_timeout_seconds
    return Schedule(
        action=ScheduleActionStartWorkflow(
            row.workflow_type,
            args=row.args,
            id=row.name,
            task_queue=row.task_queue,
            execution_timeout=timedelta(seconds=timeout) if timeout else None,
            typed_search_attributes=TypedSearchAttributes([subject, kind]),
        ),
        spec=ScheduleSpec(cron_expressions=[row.cron], time_zone_name=row.time_zone),
        # Never two runs of one schedule at the same time.
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP,
            catchup_window=timedelta(seconds=row.catch_up_seconds),
        ),
        state=ScheduleState(paused=row.paused, note=row.note or None),
    )


# --- the rows -----------------------------------------------------------------------------------
def _names() -> list[str]:
    return list(WorkflowSchedule.objects.values_list("name", flat=True))


def _row(name: str) -> WorkflowSchedule | None:
    return WorkflowSchedule.objects.filter(name=name).first()


def _fields(row: WorkflowSchedule) -> dict[str, Any]:
    what = ("workflow_type", "task_queue", "args", "execution_timeout_seconds")
    when = ("cron", "time_zone", "catch_up_seconds", "paused", "note")
    return {name: getattr(row, name) for name in (*what, *when)}


def _note_applied(row: WorkflowSchedule, applied: dict[str, str]) -> None:
    # A row that was changed meanwhile has its own command under way.
    WorkflowSchedule.objects.filter(pk=row.pk, version=row.version).update(applied=applied)
