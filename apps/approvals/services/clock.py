"""A request's clock: its events, and the workflow that keeps it unless the domain's own does.

The events are computed when the request is opened or edited, and stored on its row; `clock_events`
carries them out. A request has at most one clock workflow, and only if it has events or expires;
after an edit the same workflow continues.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

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
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.contracts import CommandKind, RunStatus
from apps.engine.process import Carrier, Process
from apps.engine.services import timings

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun

REMINDER, ESCALATION, DUE = "reminder", "escalation", "due"
#: Order of events at the same time: reminders first, overdue last.
_ORDER = (REMINDER, ESCALATION, DUE)
#: An escalation without recipients is retried after this time, or at the clock's next event.
RETRY = timedelta(days=1)
#: After this many starts the clock stays stopped: somebody keeps ending it on purpose.
MOST_STARTS = 10


def clock_plan(
    *, band: dict[str, Any], opened_at: datetime, tier: int = 1
) -> tuple[list[dict[str, Any]], datetime | None]:
    """Return the events of a request opened (or edited) at `opened_at`, sorted by time, and its due
    time.

    `band` is the raw band; its hours are working hours. Without any: ([], None). Reminders and the
    escalation belong to one tier; a later tier has its own (`clock_tier_begin`).
    """
    planned = [(REMINDER, n, h) for n, h in enumerate(band.get("reminder_hours") or (), start=1)]
    if escalation := band.get("escalation"):
        planned.append((ESCALATION, 1, escalation["hours"]))
    if band.get("due_hours"):
        planned.append((DUE, 1, band["due_hours"]))
    timed = [(working_after(opened_at, hours), name, number) for name, number, hours in planned]
    timed.sort(key=lambda one: (one[0], _ORDER.index(one[1]), one[2]))
    due_at = next((at for at, name, _ in timed if name == DUE), None)
    return [
        {"event": name, "number": number, "at": at.isoformat(), "done_at": None, "tier": tier}
        for at, name, number in timed
    ], due_at


def clock_due(
    clock: list[dict[str, Any]], due_at: datetime
) -> tuple[list[dict[str, Any]], datetime]:
    """Return the planned events and the due time, no later than `due_at`: a time that the law sets,
    whatever the rule says."""
    planned = [event for event in clock if event["event"] == DUE]
    if planned and event_moment(planned[0]) <= due_at:
        return clock, event_moment(planned[0])
    due = {"event": DUE, "number": 1, "at": due_at.isoformat(), "done_at": None, "tier": 1}
    kept = [event for event in clock if event["event"] != DUE]
    return sorted([*kept, due], key=event_moment), due_at


def clock_tier_begin(request: ApprovalRequest, *, as_of: datetime) -> None:
    """Plan reminders and escalation of the tier that begins now. The due time does not change.
    Joins the caller's transaction; the caller saves `clock`, then calls `clock_tier_tell`."""
    kept = [e for e in request.clock if e["done_at"] or e["event"] == DUE]
    plan, _ = clock_plan(band=request.band, opened_at=as_of, tier=request.tier_number)
    begun = [event for event in plan if event["event"] != DUE]
    request.clock = sorted([*kept, *begun], key=event_moment)


def clock_tier_tell(request: ApprovalRequest) -> None:
    """Wake the workflow that keeps the clock: the new tier's first event may precede its timer.
    Joins the caller's transaction."""
    if not any(e.get("tier", 1) == request.tier_number for e in request.clock if not e["done_at"]):
        return
    event = f"tier:{request.payload_number}:{request.tier_number}"
    kind = kinds.find(request.kind)
    if kind is not None and kind.clocked:
        workflow_tell(request, kind, event=event)
    else:
        clock_tell(request, event=event)


def clock_next(request: ApprovalRequest) -> datetime | None:
    """Return when the clock is due next, including expiry; None: no event is left, or it is
    settled."""
    if request.status != RequestStatus.OPEN:
        return None
    moments = [_next_try(event) for event in request.clock if not event["done_at"]]
    if request.expires_at:
        moments.append(request.expires_at)
    return min(moments, default=None)


def event_moment(event: dict[str, Any]) -> datetime:
    """Return when a clock event is due."""
    return datetime.fromisoformat(event["at"])


def _next_try(event: dict[str, Any]) -> datetime:
    """Return when the event is due, or when a failed one is retried."""
    if tried := event.get("tried_at"):
        return max(event_moment(event), datetime.fromisoformat(tried) + RETRY)
    return event_moment(event)


def clock_keep(request: ApprovalRequest, *, event: str = "opened") -> None:
    """Start or wake the clock's workflow, after opening and after each edit. Joins the caller's
    transaction.

    No-op for kinds that are `clocked`, and for requests without events that never expire. `event`
    deduplicates the message ("edited:2").
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
    """Start the clock's workflow again, unless a start is under way or it is not needed. Joins the
    caller's transaction.

    Two calls at once start one workflow. Audited. No-op after MOST_STARTS (`process.worn_out`).
    """
    request = process.restart(CLOCK, request_id)
    if request is not None:
        record(request, "clock_restarted", by=ENGINE)


def clock_closed(request_id: str, run: "WorkflowRun") -> None:
    """Handle the end of the clock's workflow: restart it if the request still needs its clock. The
    workflow may have been ended by hand, or before a backup was restored. After MOST_STARTS it is
    not restarted, which is audited.

    Joins the caller's transaction; idempotent. Ending a clock is nobody's decision, so the request
    must not wait for ever because of it.
    """
    request = process.carried(CLOCK, request_id, run.workflow_id)
    if request is None:
        return
    if not process.worn_out(CLOCK, request):
        clock_restart(request_id)
        return
    recorded = entries_about((SUBJECT_TYPE, request.pk)).filter(action="approval.clock_stopped")
    if not recorded.filter(body__workflow_id=run.workflow_id).exists():
        reason = gettext("Its workflow was ended {times} times from outside.").format(
            times=MOST_STARTS
        )
        _stopped(request, reason, workflow_id=run.workflow_id)


def clock_undeliverable(command: "EngineCommand") -> None:
    """Handle an undeliverable message to the clock's workflow. Joins the caller's transaction.
    Audited while the request is open, which can still be signed."""
    request = ApprovalRequest.objects.open().filter(pk=command.subject_id).first()
    if request is None:
        return
    if command.kind == CommandKind.SIGNAL:
        # The workflow was ended from outside; start a new one from the row's current state.
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
    """Return the rows for which `_needs` is not None."""
    names = [kind.name for kind in kinds.registered() if not kind.clocked]
    has_clock = Q(expires_at__isnull=False) | Q(clock__contains=[{"done_at": None}])
    return ApprovalRequest.objects.open().filter(has_clock, kind__in=names)


CARRIER: Carrier[ApprovalRequest] = Carrier(CLOCK_WORKFLOW, _ref, process.WAITING_BACKSTOP)

CLOCK = Process(
    subject=SUBJECT_TYPE,
    title=_("Approval"),
    noun="request",
    missing=_("There is no such request."),
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
    # After a restored backup the request may be open while its workflow has completed.
    forgotten=(RunStatus.LOST, RunStatus.COMPLETED),
)
