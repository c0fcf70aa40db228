"""A request's clock: its events, and the workflow that keeps it where the domain's own does not.

The events are computed when the request is opened or edited and stand on its row; `ticking` does
them. One workflow per request, and only where there is a clock or an expiry to keep; a request
that is edited goes on with the same one.
"""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from apps.approvals import kinds, validation
from apps.approvals.business_hours import working_after
from apps.approvals.contracts import (
    CLOCK_WORKFLOW,
    SUBJECT_TYPE,
    TASK_QUEUE,
    ClockRef,
    RequestStatus,
    clock_workflow_id,
)
from apps.approvals.models import ApprovalRequest
from apps.approvals.services.rows import clock_started, clock_tell, record, workflow_tell
from apps.audit.contracts import ENGINE
from apps.engine import services as engine
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE, CommandKind, RunStatus
from apps.engine.models import EngineCommand, WorkflowRun

REMINDER, ESCALATION, DUE = "reminder", "escalation", "due"
#: Of events at the same moment: reminded first, overdue last.
_ORDER = (REMINDER, ESCALATION, DUE)
#: Server-side: ends what nobody will ever end. A request may wait for a year.
BACKSTOP_SECONDS = 400 * 24 * 3600.0
#: An escalation that finds nobody is tried again so much later, or at the next thing to do.
RETRY = timedelta(days=1)
#: A row this young is on its way through the outbox; that is not being stranded.
SETTLING_IN = timedelta(minutes=1)
STRANDED_LIMIT = 200
#: A clock that is ended from outside so often is not started again: somebody means it.
MOST_STARTS = 10
_CLOCK_ID = re.compile(rf"{SUBJECT_TYPE}-(?P<request>[0-9a-f-]{{36}})-clock(-[1-9][0-9]{{0,3}})?")


def clock_plan(
    *, band: dict[str, Any], opened_at: datetime, tier: int = 1
) -> tuple[list[dict[str, Any]], datetime | None]:
    """The events of a request opened (or edited) then, sorted by time; and when it is due.

    `band` is the raw band; its hours count in working time. Without any: ([], None). Reminders and
    the escalation are of one tier; a later one has its own (`clock_tier_begin`).
    """
    wanted = [(REMINDER, n, h) for n, h in enumerate(band.get("reminder_hours") or (), start=1)]
    if escalation := band.get("escalation"):
        wanted.append((ESCALATION, 1, escalation["hours"]))
    if band.get("due_hours"):
        wanted.append((DUE, 1, band["due_hours"]))
    timed = [(working_after(opened_at, hours), name, number) for name, number, hours in wanted]
    timed.sort(key=lambda one: (one[0], _ORDER.index(one[1]), one[2]))
    due_at = next((at for at, name, _ in timed if name == DUE), None)
    return [
        {"event": name, "number": number, "at": at.isoformat(), "done_at": None, "tier": tier}
        for at, name, number in timed
    ], due_at


def clock_tier_begin(request: ApprovalRequest, *, as_of: datetime) -> None:
    """The tier that the row names begins: reminders and escalation count from now. When the request
    is due stays as it was promised. Joins; the caller saves `clock`, then calls `clock_tier_tell`.
    """
    kept = [e for e in request.clock if e["done_at"] or e["event"] == DUE]
    plan, _ = clock_plan(band=request.band, opened_at=as_of, tier=request.tier_number)
    begun = [event for event in plan if event["event"] != DUE]
    request.clock = sorted([*kept, *begun], key=event_moment)


def clock_tier_tell(request: ApprovalRequest) -> None:
    """Who keeps the clock looks at it again: the new tier's first event may come before what was
    waited for. Joins."""
    if not any(e.get("tier", 1) == request.tier_number for e in request.clock if not e["done_at"]):
        return
    event = f"tier:{request.payload_number}:{request.tier_number}"
    kind = kinds.find(request.kind)
    if kind is not None and kind.clocked:
        workflow_tell(request, kind, event=event)
    else:
        clock_tell(request, event=event)


def clock_next(request: ApprovalRequest) -> datetime | None:
    """When the clock next has something to do, expiry included; None: nothing, or it is settled."""
    if request.status != RequestStatus.OPEN:
        return None
    moments = [_next_try(event) for event in request.clock if not event["done_at"]]
    if request.expires_at:
        moments.append(request.expires_at)
    return min(moments, default=None)


def event_moment(event: dict[str, Any]) -> datetime:
    """When an event of the clock is to happen."""
    return datetime.fromisoformat(event["at"])


def _next_try(event: dict[str, Any]) -> datetime:
    """Its moment, or when what came to nothing is tried again."""
    if tried := event.get("tried_at"):
        return max(event_moment(event), datetime.fromisoformat(tried) + RETRY)
    return event_moment(event)


def clock_keep(request: ApprovalRequest, *, event: str = "opened") -> None:
    """Have the request's clock kept as it is now, after opening and after each edit. Joins.

    Nothing for kinds that are `clocked`, and for requests that have no clock and never expire.
    `event` makes the message once ("edited:2").
    """
    kind = kinds.find(request.kind)
    if kind is None or kind.clocked:
        return
    if event != "opened" and _starts(request).exists():
        clock_tell(request, event=event)
    elif clock_next(request) is not None:
        _start(request, key="")


def clock_restart(*, request_id: UUID | str) -> None:
    """Start the clock's workflow again from the row, unless that is on its way or needless. Joins.

    Two at once: one command, the count under the lock is its key. Audited. After MOST_STARTS it
    stays as it is.
    """
    pk = validation.uuid_of(request_id)
    request = ApprovalRequest.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if request is None or clock_next(request) is None:
        return
    kind = kinds.find(request.kind)
    if kind is None or kind.clocked:
        return
    starts = _starts(request)
    # The engine may know more than our outbox does: of starts after the backup that was restored.
    runs = WorkflowRun.objects.filter(subject_type=SUBJECT_TYPE, subject_id=str(request.pk))
    count = max(starts.count(), runs.order_by().values("workflow_id").distinct().count())
    if starts.filter(state__in=EngineCommand.UNSETTLED).exists() or count >= MOST_STARTS:
        return
    record(request, "clock_restarted", by=ENGINE)
    _start(request, key=f":{count}", number=count + 1)


def clock_stranded(*, limit: int = STRANDED_LIMIT) -> list[str]:
    """Ids of open requests with a clock to keep whose workflow never ran, was lost, or completed
    before a backup was restored in which they are open; at most `limit`, the oldest first. One that
    was closed otherwise is not here: it is restarted when it is told."""
    now = timezone.now()
    names = [kind.name for kind in kinds.registered() if not kind.clocked]
    subject = {"subject_type": SUBJECT_TYPE, "subject_id": Cast(OuterRef("pk"), TextField())}
    starts = EngineCommand.objects.filter(**subject, kind=CommandKind.START)
    under_way = starts.filter(
        Q(state__in=EngineCommand.UNSETTLED) | Q(settled_at__gte=now - SETTLING_IN)
    )
    # What the newest start has started, where we know of one: what ran before it is over.
    runs = WorkflowRun.objects.filter(
        **subject, workflow_id=Coalesce(OuterRef("clock_id"), F("workflow_id"))
    )
    rows = (
        ApprovalRequest.objects.open()
        .filter(
            # As `clock_next`.
            Q(expires_at__isnull=False) | Q(clock__contains=[{"done_at": None}]),
            kind__in=names,
            created_at__lt=now - SETTLING_IN,
        )
        .filter(~Exists(under_way))
        .annotate(clock_id=Subquery(starts.order_by("-id").values("workflow_id")[:1]))
        .annotate(newest=Subquery(runs.order_by("-started_at", "-id").values("status")[:1]))
        .filter(Q(newest=None) | Q(newest__in=[RunStatus.LOST, RunStatus.COMPLETED]))
        .order_by("created_at", "id")
    )
    return [str(pk) for pk in rows.values_list("pk", flat=True)[:limit]]


def clock_closed(*, request_id: str, run: WorkflowRun) -> None:
    """The clock's workflow has ended: with the request, or while there is a clock to keep, by
    somebody, or before a backup was restored.

    Joins; idempotent. A clock is nobody's decision: ending it must not let a request wait for ever.
    """
    if run.workflow_id == clock_started(request_id):
        clock_restart(request_id=request_id)


def clock_undeliverable(*, command: EngineCommand) -> None:
    """A message to the clock's workflow never arrives. Joins. While the request is open that is
    written down; it can be signed all the same."""
    request = ApprovalRequest.objects.open().filter(pk=command.subject_id).first()
    if request is None:
        return
    if command.kind == CommandKind.SIGNAL:
        # The workflow has ended behind our back; a new one begins from the row as it is now.
        clock_restart(request_id=request.pk)
        return
    record(request, "clock_stopped", by=ENGINE, body={"reason": command.error[:1000]})


def subject_of(workflow_id: str) -> str:
    """The request's id out of its clock's workflow id, or nothing."""
    found = _CLOCK_ID.fullmatch(workflow_id)
    try:
        return str(UUID(found["request"])) if found else ""
    except ValueError:
        return ""


# --- helpers -------------------------------------------------------------------------------------
def _start(request: ApprovalRequest, *, key: str, number: int = 1) -> None:
    """A workflow id of its own for each start: the engine gives one that completed to nobody."""
    engine.workflow_start(
        key=f"approval:{request.pk}:clock{key}",
        workflow_id=clock_workflow_id(request.pk, number),
        workflow_type=CLOCK_WORKFLOW,
        task_queue=TASK_QUEUE,
        args=[ClockRef(str(request.pk), engine.timings())],
        subject_type=SUBJECT_TYPE,
        subject_id=str(request.pk),
        execution_timeout_seconds=BACKSTOP_SECONDS,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        search_attributes={
            SUBJECT_ATTRIBUTE: f"{SUBJECT_TYPE}:{request.pk}",
            KIND_ATTRIBUTE: SUBJECT_TYPE,
        },
        # The outbox of a restored backup may give a number again whose workflow has failed since.
        allow_duplicate_failed=bool(key),
    )


def _starts(request: ApprovalRequest) -> QuerySet[EngineCommand]:
    return EngineCommand.objects.filter(
        subject_type=SUBJECT_TYPE, subject_id=str(request.pk), kind=CommandKind.START
    )
