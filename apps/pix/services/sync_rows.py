"""What the services of synchronisations share: the process, its phases, and what the workflow is
told."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from apps.approvals.contracts import Waiting
from apps.approvals.selectors import request_of
from apps.approvals.subject import waiting_of
from apps.audit.contracts import ENGINE, Actor
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.contracts import RunProgress
from apps.engine.process import Carrier, Process
from apps.pix.contracts import SYNC_RUN, SYNC_WORKFLOW, TASK_QUEUE, KeyType
from apps.pix.contracts.sync import (
    CALL_SECONDS,
    DEADLINE_SECONDS,
    DifferenceState,
    SyncFacts,
    SyncPhase,
    SyncStatus,
)
from apps.pix.models import SyncChunk, SyncDifference, SyncRun, SyncVerdict
from apps.pix.services.shared import queue_timings

#: Statuses in which a person has not decided about the repair.
WAITS = frozenset({SyncStatus.WAITING})
#: The server's own limit is far above the run's, which ends it as it should.
BACKSTOP = 2 * DEADLINE_SECONDS

CARRIER: Carrier[SyncRun] = Carrier(
    SYNC_WORKFLOW,
    lambda run, again: {"participant_ispb": run.participant, "run_id": str(run.pk)},
    BACKSTOP,
)
SYNC = Process(
    subject=SYNC_RUN,
    title=_("Synchronisation"),
    noun="sync",
    missing=_("There is no such synchronisation."),
    opens=_("Open the synchronisation"),
    model=SyncRun,
    queue=TASK_QUEUE,
    url_name="pix_sync",
    carriers=(CARRIER,),
    needs=lambda run: None if run.has_ended else CARRIER,
    open_rows=lambda: SyncRun.objects.unsettled(),
    list_topics=("pix_syncs",),
)

record = partial(process.record, SYNC)


def run_of(run_id: UUID | str) -> SyncRun:
    """Return the run. Raises NotFound."""
    run = SyncRun.objects.filter(pk=process.id_of(SYNC, run_id)).first()
    if run is None:
        raise process.unknown(SYNC)
    return run


def still(run: SyncRun, phase: SyncPhase) -> SyncRun | None:
    """Lock and return the run, if it is at work in that phase; else None: it was stopped, or
    another worker has carried on. Joins the caller's transaction."""
    now = process.locked(SYNC, run.pk)
    return now if now.status == SyncStatus.RUNNING and now.phase == phase else None


def phase_move(run: SyncRun, to: SyncPhase) -> None:
    """Begin the next phase, unless the run is no longer in this one."""
    with transaction.atomic(durable=True):
        if now := still(run, SyncPhase(run.phase)):
            now.phase = to
            process.save(SYNC, now, "phase")


def unequal(run: SyncRun) -> list[SyncVerdict]:
    """Return the verdicts of the types whose sides were not found equal."""
    return list(run.verdicts.filter(before=False).exclude(after=True))


def run_made(run: SyncRun, *, by: Actor = ENGINE, via: str = "engine") -> None:
    """Write what belongs to a new run. Joins the caller's transaction."""
    SyncVerdict.objects.bulk_create(SyncVerdict(run=run, key_type=one) for one in KeyType)
    record(run, f"{SYNC_RUN}.requested", by=by, via=via, participant=run.participant)


def call_seconds() -> float:
    """Return how long a call of an activity goes on before it begins nothing new."""
    return min(CALL_SECONDS, float(settings.PIX_ACTIVITY_TIMEOUT) / 2)


def chunks_forget(run: SyncRun, *key_types: str) -> None:
    """Delete what was received, of these types or of all. Joins the caller's transaction."""
    chunks = SyncChunk.objects.filter(run=run)
    (chunks.filter(key_type__in=key_types) if key_types else chunks).delete()


def end(
    run: SyncRun,
    status: SyncStatus,
    *,
    as_of: datetime,
    code: str = "",
    detail: str = "",
    fields: Iterable[str] = (),
) -> None:
    """End the locked run; nothing of its files is kept. Joins the caller's transaction."""
    chunks_forget(run)
    ended = process.ended(run, status, as_of=as_of, code=code, detail=detail)
    process.save(SYNC, run, *ended, *fields)


def counts_of(run: SyncRun) -> dict[str, int]:
    """Return the number of differences in each state."""
    rows = SyncDifference.objects.filter(run=run).values_list("state").annotate(n=Count("id"))
    return {state: number for state, number in rows.order_by("state")}


def facts_of(run: SyncRun, *, rest: float = 0.0) -> SyncFacts:
    """Return what the workflow needs to know of the row."""
    counts = counts_of(run)
    asked = waiting(run) if run.status == SyncStatus.WAITING else None
    return SyncFacts(
        run_id=str(run.pk),
        participant=run.participant,
        status=run.status,
        phase=run.phase,
        settled=run.has_ended,
        waiting=asked is not None,
        ends_at=run.ends_at,
        request_id=asked.request_id if asked else "",
        next_at=asked.next_at if asked else None,
        expires_at=asked.expires_at if asked else None,
        rest=rest,
        progress=RunProgress(
            total=sum(counts.values()),
            waiting=counts.get(DifferenceState.PENDING, 0),
            done=counts.get(DifferenceState.REPAIRED, 0),
            failed=counts.get(DifferenceState.LEFT, 0),
        ),
        timings=queue_timings(deadline=DEADLINE_SECONDS),
        code=run.error_code,
        detail=run.error_detail,
    )


def waiting(run: SyncRun) -> Waiting:
    """Return the state of the run's request; without one its fields are empty."""
    request = request_of(f"{SYNC_RUN}:{run.pk}")
    return waiting_of(run, waits=WAITS, request=request)
