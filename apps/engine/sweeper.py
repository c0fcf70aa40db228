"""Keeps the mirror true: reads visibility and descriptions, and reports ends to subjects."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from apps.common import correlation
from apps.engine import subjects
from apps.engine.contracts import SUBJECT_ATTRIBUTE, UNMIRRORED_MEMO, RunStatus
from apps.engine.db_threads import Threads
from apps.engine.error_policy import workflow_is_unknown
from apps.engine.mirror import Observation, runs_observe
from apps.engine.models import EngineMark, WorkflowRun
from apps.live.broadcast import broadcast

logger = correlation.get_logger(__name__)

#: Visibility may show a run some seconds late, and clocks differ.
OVERLAP = timedelta(seconds=15)
#: How far the first sweep of an installation looks back.
FIRST_LOOK = timedelta(days=1)
PAGE = 500
#: Rows per batch of comparisons, and concurrent calls.
BATCH = 100
CALLS = 10
CALL = timedelta(seconds=5)
#: A worker's report that visibility has not confirmed after this time is checked.
CONFIRM_AFTER = timedelta(seconds=30)
#: Every open run is checked at least this often (limited: a few per sweep).
LOOK_AGAIN_AFTER = timedelta(minutes=10)
CHECKED_PER_SWEEP = 50
TOLD_AT_ONCE = 200
MARK = "sweep"

_SUBJECT = SearchAttributeKey.for_keyword(SUBJECT_ATTRIBUTE)
_STATUS = {
    WorkflowExecutionStatus.RUNNING: RunStatus.RUNNING,
    WorkflowExecutionStatus.COMPLETED: RunStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: RunStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: RunStatus.CANCELLED,
    WorkflowExecutionStatus.TERMINATED: RunStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: RunStatus.TIMED_OUT,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: RunStatus.CONTINUED_AS_NEW,
}


async def compare(client: Client, *, threads: Threads) -> int:
    """Check with the server every run that the mirror has as open, or from a worker only.

    Runs at the start of a leadership, because nobody watched before. Returns how many rows changed.
    """
    changed, after = 0, 0
    while True:
        batch = await threads.run(_unsure, after)
        if not batch:
            return changed
        after = batch[-1][0]
        changed += await _check(client, batch, threads)


async def sweep(client: Client, *, threads: Threads) -> int:
    """Read what started or ended since the last sweep, check doubtful rows, then report ends to
    subjects. Returns how many rows changed."""
    began = timezone.now()
    since = await threads.run(_mark_read, began)
    changed = await _list(client, since - OVERLAP, threads)
    await threads.run(_mark_write, began)
    changed += await _check(client, await threads.run(_doubtful, began), threads)
    await threads.run(ends_tell)
    return changed


# --- visibility ---------------------------------------------------------------------------------
async def _list(client: Client, since: datetime, threads: Threads) -> int:
    """Read visibility page by page; in any order, because the development server has none."""
    moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    times = f"(StartTime >= '{moment}' OR CloseTime >= '{moment}')"
    types = sorted({name for subject in subjects.registered() for name in subject.workflow_types})
    named = "WorkflowType IN (" + ", ".join(f"'{name}'" for name in types) + ")" if types else ""
    ours = " OR ".join(part for part in (f"{SUBJECT_ATTRIBUTE} IS NOT NULL", named) if part)
    try:
        return await _list_query(client, f"({ours}) AND {times}", threads)
    except RPCError as error:
        # The search attribute may be missing where an operator has to add it.
        unknown = error.status == RPCStatusCode.INVALID_ARGUMENT and "search attr" in str(error)
        if not unknown:
            raise
        logger.warning("visibility does not know our search attribute", error=str(error))
        return await _list_query(client, f"{named} AND {times}", threads) if named else 0


async def _list_query(client: Client, query: str, threads: Threads) -> int:
    changed = 0
    found = client.list_workflows(query, page_size=PAGE, rpc_timeout=CALL)
    seen_at = timezone.now()
    while True:
        await found.fetch_next_page()
        page = found.current_page or []
        # An end is final. "Running" may be outdated: it is believed only for unknown runs.
        seen = [
            _observed(run, seen_at, confirmed=run.close_time is not None)
            for run in page
            if UNMIRRORED_MEMO not in run.raw_info.memo.fields
        ]
        changed += await threads.run(_write, seen)
        if found.next_page_token is None:
            return changed


# --- one by one ---------------------------------------------------------------------------------
Row = tuple[int, str, str]
_FIELDS = ("pk", "workflow_id", "run_id")


def _unsure(after: int) -> list[Row]:
    rows = WorkflowRun.objects.filter(
        Q(status=RunStatus.RUNNING) | Q(confirmed=False), pk__gt=after
    )
    return list(rows.order_by("pk").values_list(*_FIELDS)[:BATCH])


def _doubtful(now: datetime) -> list[Row]:
    unconfirmed = WorkflowRun.objects.filter(confirmed=False, seen_at__lt=now - CONFIRM_AFTER)
    open_long = WorkflowRun.objects.filter(
        status=RunStatus.RUNNING, seen_at__lt=now - LOOK_AGAIN_AFTER
    )
    rows: list[Row] = []
    for queryset in (unconfirmed, open_long):
        rows += queryset.order_by("seen_at").values_list(*_FIELDS)[:CHECKED_PER_SWEEP]
    return list(dict.fromkeys(rows))


async def _check(client: Client, rows: Sequence[Row], threads: Threads) -> int:
    at_once = asyncio.Semaphore(CALLS)

    async def describe(workflow_id: str, run_id: str) -> Observation | None:
        async with at_once:
            return await _describe(client, workflow_id, run_id)

    found = await asyncio.gather(*(describe(row[1], row[2]) for row in rows))
    seen = [observation for observation in found if observation is not None]
    return await threads.run(_write, seen) if seen else 0


async def _describe(client: Client, workflow_id: str, run_id: str) -> Observation | None:
    asked_at = timezone.now()
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        description = await handle.describe(rpc_timeout=CALL)
    except RPCError as error:
        if workflow_is_unknown(error):
            return Observation(
                workflow_id=workflow_id,
                run_id=run_id,
                workflow_type="",
                task_queue="",
                status=RunStatus.LOST,
                seen_at=asked_at,
                confirmed=True,
            )
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            # A foreign report has a run id that no server ever issued.
            logger.warning("a run cannot be described", workflow_id=workflow_id, error=str(error))
            return None
        raise
    return _observed(description, asked_at, confirmed=True)


def _observed(run: WorkflowExecution, seen_at: datetime, *, confirmed: bool) -> Observation:
    subject_type, _, subject_id = (run.typed_search_attributes.get(_SUBJECT) or "").partition(":")
    status = _STATUS.get(run.status, RunStatus.RUNNING) if run.status else RunStatus.RUNNING
    return Observation(
        workflow_id=run.id,
        run_id=run.run_id,
        workflow_type=run.workflow_type,
        task_queue=run.task_queue,
        status=status,
        started_at=run.start_time,
        closed_at=run.close_time if status.closed else None,
        seen_at=seen_at,
        confirmed=confirmed,
        subject_type=subject_type[:60] if subject_id else "",
        subject_id=subject_id[:80],
    )


def _write(seen: Sequence[Observation]) -> int:
    with transaction.atomic():
        return len(runs_observe(seen))


# --- reporting ends -----------------------------------------------------------------------------
def ends_tell() -> int:
    """Call `on_closed` for confirmed ends not yet reported; return how many were looked at.

    The call and the note that it was made commit together: after a crash it is repeated. A call
    that raises is logged and repeated with the next sweep; the others proceed.
    """
    looked, after = 0, 0
    waiting = WorkflowRun.objects.filter(told_at=None, confirmed=True).exclude(
        status=RunStatus.RUNNING
    )
    while True:
        batch = waiting.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
        keys = list(batch[:TOLD_AT_ONCE])
        if not keys:
            return looked
        for pk in keys:
            try:
                end_tell(pk)
            except Exception:
                logger.exception("on_closed failed, will be tried again", run=pk, alert=True)
        looked, after = looked + len(keys), keys[-1]


def end_tell(pk: int) -> None:
    """Report the end to the run's subject, and note it, in one transaction."""
    with transaction.atomic():
        run: Any = (
            WorkflowRun.objects.select_for_update(skip_locked=True)
            .filter(pk=pk, told_at=None)
            .first()
        )
        if run is None:
            return
        run.told_at = timezone.now()
        run.save(update_fields=["told_at"])
        subject = subjects.get(run.subject_type)
        goes_on = run.status in {RunStatus.CONTINUED_AS_NEW, RunStatus.LOST}
        superseded = WorkflowRun.objects.filter(
            workflow_id=run.workflow_id, started_at__gt=run.started_at
        ).exists()
        if subject is not None and run.subject_id and not goes_on and not superseded:
            subject.on_closed(run.subject_id, run)
        broadcast("engine", id=run.run_id, version=1)


# --- the mark -----------------------------------------------------------------------------------
def _mark_read(now: datetime) -> datetime:
    mark = EngineMark.objects.filter(name=MARK).values_list("at", flat=True).first()
    return min(mark or now - FIRST_LOOK, now)


def _mark_write(at: datetime) -> None:
    EngineMark.objects.update_or_create(name=MARK, defaults={"at": at})
