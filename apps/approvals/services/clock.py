"""A request's clock: its events, and the workflow that keeps it where the domain's own does not.

The events are computed when the request is opened or edited and stand on its row; `ticking` does
them. One workflow per request, and only where there is a clock or an expiry to keep; a request
that is edited goes on with the same one.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.approvals import kinds
from apps.approvals.business_hours import working_after
from apps.approvals.contracts import (
    CLOCK_WORKFLOW,
    SUBJECT_TYPE,
    TASK_QUEUE,
    ClockRef,
    RequestStatus,
)
from apps.approvals.models import ApprovalRequest
from apps.approvals.services.rows import clock_tell, record, workflow_tell
from apps.audit.contracts import ENGINE
from apps.audit.selectors import entries_about
from apps.engine import process
from apps.engine.contracts import CommandKind, RunStatus
from apps.engine.process import Carrier, Process
from apps.engine.services import timings

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun

REMINDER, ESCALATION, DUE = "reminder", "escalation", "due"
#: Of events at the same moment: reminded first, overdue last.
_ORDER = (REMINDER, ESCALATION, DUE)
#: An escalation that finds nobody is tried again so much later, or at the next thing to do.
RETRY = timedelta(days=1)
#: A clock that is ended from outside so often is not started again: somebody means it.
MOST_STARTS = 10


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
    if request.clock_id:
        if event != "opened":
            clock_tell(request, event=event)
    elif clock_next(request) is not None:
        process.start(CLOCK, request)


def clock_restart(request_id: UUID | str) -> None:
    """Start the clock's workflow again from the row, unless that is under way or needless. Joins.

    Two at once: one start. Audited. After MOST_STARTS (`process.worn_out`) it stays as it is.
    """
    request = process.restart(CLOCK, request_id)
    if request is not None:
        record(request, "clock_restarted", by=ENGINE)


def clock_closed(request_id: str, run: "WorkflowRun") -> None:
    """The clock's workflow has ended: with the request, or while there is a clock to keep, by
    somebody, or before a backup was restored. One that was ended too often is not started again,
    which is recorded.

    Joins; idempotent. A clock is nobody's decision: ending it must not let a request wait for ever.
    """
    request = process.carried(CLOCK, request_id, run.workflow_id)
    if request is None:
        return
    if not process.worn_out(CLOCK, request):
        clock_restart(request_id)
        return
    told = entries_about((SUBJECT_TYPE, request.pk)).filter(action="approval.clock_stopped")
    if not told.filter(body__workflow_id=run.workflow_id).exists():
        reason = f"Its workflow was ended {MOST_STARTS} times from outside."
        _stopped(request, reason, workflow_id=run.workflow_id)


def clock_undeliverable(command: "EngineCommand") -> None:
    """A message to the clock's workflow never arrives. Joins. While the request is open that is
    written down; it can be signed all the same."""
    request = ApprovalRequest.objects.open().filter(pk=command.subject_id).first()
    if request is None:
        return
    if command.kind == CommandKind.SIGNAL:
        # The workflow has ended behind our back; a new one begins from the row as it is now.
        clock_restart(request.pk)
        return
    _stopped(request, command.error)


def _stopped(request: ApprovalRequest, reason: str, **more: str) -> None:
    record(request, "clock_stopped", by=ENGINE, body={"reason": reason[:1000], **more})


# --- its workflow --------------------------------------------------------------------------------
def _ref(request: ApprovalRequest, again: bool) -> ClockRef:
    return ClockRef(str(request.pk), timings())


def _needs(request: ApprovalRequest) -> Carrier[ApprovalRequest] | None:
    kind = kinds.find(request.kind)
    if kind is None or kind.clocked or clock_next(request) is None:
        return None
    return CARRIER


def _open_rows() -> "QuerySet[ApprovalRequest]":
    """As `_needs`."""
    names = [kind.name for kind in kinds.registered() if not kind.clocked]
    has_clock = Q(expires_at__isnull=False) | Q(clock__contains=[{"done_at": None}])
    return ApprovalRequest.objects.open().filter(has_clock, kind__in=names)


CARRIER: Carrier[ApprovalRequest] = Carrier(CLOCK_WORKFLOW, _ref, process.WAITING_BACKSTOP)

CLOCK = Process(
    subject=SUBJECT_TYPE,
    title="Approval",
    noun="request",
    model=ApprovalRequest,
    queue=TASK_QUEUE,
    url_name="request",
    carriers=(CARRIER,),
    needs=_needs,
    open_rows=_open_rows,
    id_field="clock_id",
    id_tail="-clock",
    unversioned=True,
    most_runs=MOST_STARTS,
    # Completed before a backup was restored in which the request is open.
    forgotten=(RunStatus.LOST, RunStatus.COMPLETED),
)
