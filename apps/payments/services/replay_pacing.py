"""Lets the events of a replay begin: one, five, twenty, then so many a second; it pauses by itself
when too many fail again."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.errors import Conflict, DomainError
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process, runs
from apps.engine.runs.changes import hold, lock
from apps.engine.runs.items import items_of
from apps.engine.runs.spec import PENDING, RUNNING
from apps.engine.services import commands_enqueue
from apps.payments.contracts import ReplayFacts, ReplayItemStatus, ReplayStatus
from apps.payments.models import QuarantinedEvent, ReplayItem, ReplayRun
from apps.payments.services import admission, breaker
from apps.payments.services.desk import record as record_event
from apps.payments.services.payloads import newest_version
from apps.payments.services.replaying import carry_on, check_open
from apps.payments.services.replays import RUN

#: The waves before the rate: each begins when the one before has its outcome.
RAMP = (1, 5, 20)
#: So many outcomes are needed before their share says anything.
LEAST_JUDGED = 5
#: How soon to look again: while it moves, and while it waits for outcomes or for a service.
SOON, LATER = 0.3, 1.0
WAVE = timedelta(seconds=1)
#: Seconds after which a wave ends early: the workflow's step has two.
LONGEST_WAVE = 1.0
STOPPED = "stopped_by_itself"


@dataclass(frozen=True)
class _Since:
    """Items since the ramp began: begun, on their way, kept, and failed after they had begun."""

    begun: int
    running: int
    done: int
    failed: int


def replay_advance(*, run_id: UUID | str, workflow_id: str) -> ReplayFacts:
    """Begin as many events of the replay as its pace allows now; return its state.

    Safe to repeat at any point, and twice at once: each event begins in a transaction of its own,
    which only the first finds waiting. Raises NotFound, Conflict `not_its_workflow`.
    """
    ends = time.monotonic() + LONGEST_WAVE
    number, wait = _allowed(run_id, workflow_id)
    waiting = items_of(RUN, process.id_of(RUN.process, run_id)).filter(
        status=ReplayItemStatus.WAITING
    )
    for pk in list(waiting.order_by("number").values_list("pk", flat=True)[:number]):
        _begin(pk, workflow_id)
        if time.monotonic() >= ends:
            break
    with transaction.atomic(durable=True):
        run = runs.finish(RUN, run_id, workflow_id=workflow_id, as_of=timezone.now())
    return ReplayFacts(
        status=run.status,
        runs=run.status == ReplayStatus.RUNNING,
        settled=ReplayStatus(run.status).terminal,
        progress=runs.progress_of(RUN, run),
        wait_seconds=wait,
        code=run.error_code,
        detail=run.error_detail,
    )


# --- helpers --------------------------------------------------------------------------------------
def _allowed(run_id: UUID | str, workflow_id: str) -> tuple[int, float]:
    """Return how many events may begin now, and when to look again; pause a replay of which too
    many have failed."""
    with transaction.atomic(durable=True):
        run = lock(RUN, run_id)
        runs.check_carrier(RUN, run, workflow_id)
        if run.status not in (PENDING, RUNNING):
            return 0, LATER
        now = timezone.now()
        # A paused replay begins its ramp anew: whoever resumes it has changed something.
        changed = ["paced_at"]
        if run.status == PENDING or run.ramp_from is None:
            run.status, run.ramp_from = RUNNING, now
            changed += ["status", "ramp_from"]
        since = _since(run)
        judged = since.done + since.failed
        if judged >= LEAST_JUDGED and since.failed > run.stop_share * judged:
            run.ramp_from = None
            run.save(update_fields=["ramp_from"])
            detail = gettext("{failed} of the last {judged} events have failed again.").format(
                failed=since.failed, judged=judged
            )
            hold(RUN, run, reason=detail, code=STOPPED, detail=detail)
            return 0, LATER
        number, wait = _wave(run, since, now)
        if number:
            run.paced_at = now
        run.save(update_fields=changed)
        return number, wait


def _wave(run: ReplayRun, since: _Since, now: datetime) -> tuple[int, float]:
    # As for new events: an event that begins is a workflow that is open.
    free = admission.free_slots()
    if not breaker.is_closed() or free <= 0:
        return 0, LATER
    begun = 0
    for size in RAMP:
        if since.begun < begun + size:
            # A wave that was begun in part, by a worker that was killed, is completed.
            if since.begun > begun or not since.running:
                return min(begun + size - since.begun, free), SOON
            return 0, SOON
        begun += size
    if since.begun == begun and since.running:
        return 0, SOON
    if run.paced_at is not None and now - run.paced_at < WAVE:
        return 0, (run.paced_at + WAVE - now).total_seconds() + 0.01
    return min(run.rate, free), WAVE.total_seconds()


def _since(run: ReplayRun) -> _Since:
    begun = ReplayItem.objects.filter(run=run, begun_at__gte=run.ramp_from)
    counts = begun.aggregate(
        begun=Count("pk"),
        **{
            status.value: Count("pk", filter=Q(status=status))
            for status in (
                ReplayItemStatus.RUNNING,
                ReplayItemStatus.DONE,
                ReplayItemStatus.FAILED,
            )
        },
    )
    return _Since(**counts)


def _begin(item_id: int, workflow_id: str) -> None:
    """Begin one event, if it still waits in a replay that goes on. A refusal is its outcome."""
    try:
        with transaction.atomic(durable=True):
            item = _locked(item_id, workflow_id)
            if item is None:
                return
            now = timezone.now()
            row = QuarantinedEvent.objects.select_for_update(no_key=True).get(pk=item.event_id)
            check_open(row, item=item)
            version = newest_version(row)
            if version.number != item.edit:
                raise Conflict(
                    _("A newer version was signed after the replay was made."), code="edited_since"
                )
            commands_enqueue([carry_on(row, version, now=now)])
            ReplayItem.objects.filter(pk=item.pk).update(
                status=ReplayItemStatus.RUNNING, begun_at=now
            )
            record_event(
                row,
                "replayed",
                by=item.run.requested_by,
                via="replay",
                version=version.number,
                replay=str(item.run_id),
            )
            failpoint("replay_begin.uncommitted")
    except DomainError as refusal:
        ReplayItem.objects.filter(pk=item_id, status=ReplayItemStatus.WAITING).update(
            status=ReplayItemStatus.FAILED,
            error_code=refusal.code[:60],
            error_detail=refusal.recorded[:500],
            settled_at=timezone.now(),
        )


def _locked(item_id: int, workflow_id: str) -> ReplayItem | None:
    rows = ReplayItem.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    carried = rows.filter(run__workflow_id=workflow_id, run__status=ReplayStatus.RUNNING)
    waiting = carried.filter(pk=item_id, status=ReplayItemStatus.WAITING)
    return waiting.select_related("run__requested_by").first()
