"""The directory's side of a synchronisation: its verdicts, its log of events, its files of CIDs.

Each call goes on for some seconds, from where the rows stand, on whichever worker; a call that was
believed dead and goes on beside it changes nothing twice.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.common.correlation import get_logger
from apps.common.failpoints import failpoint
from apps.engine import process
from apps.pix.bridge.client import directory
from apps.pix.bridge.problems import DirectoryRefused
from apps.pix.bridge.shapes import CidEvent, CidEventsPage
from apps.pix.contracts import KeyType
from apps.pix.contracts.sync import (
    FETCHING,
    DifferenceKind,
    DifferenceState,
    SyncFacts,
    SyncPhase,
    SyncStatus,
)
from apps.pix.models import Entry, SyncChunk, SyncDifference, SyncRun, SyncVerdict
from apps.pix.services.sync_limits import is_too_much
from apps.pix.services.sync_rows import (
    SYNC,
    call_seconds,
    chunks_forget,
    facts_of,
    phase_move,
    run_of,
    still,
    unequal,
)
from apps.pix.sync.buckets import verifier_of

logger = get_logger(__name__)

#: Asks the directory for the events of the log, so many at a time: its own most.
PAGE = 200
#: A longer log costs more calls than the file, which is the whole truth.
MOST_EVENTS = 5_000
#: The window begins so long before the last verification that was OK.
OVERLAP = timedelta(seconds=10)
#: A file that cannot be had is asked for so often.
MOST_FILES = 3
#: Of a file: no participant has as many keys.
MOST_BYTES = 65 * 100_000_000
#: Pauses while the directory makes a file, in seconds.
REST = 2.0
PATIENCE = 5.0
FULL = "FULL"


def sync_fetch(run_id: str, *, interrupted: Callable[[], bool] = lambda: False) -> SyncFacts:
    """Verify, read the log and receive the files, as far as the time of one call goes; return what
    stands. Raises NotFound, DirectoryUnavailable, DirectoryRefused."""
    until = time.monotonic() + call_seconds()
    while True:
        run = run_of(run_id)
        if run.status != SyncStatus.RUNNING or run.phase not in FETCHING:
            return facts_of(run)
        rest = _DO[SyncPhase(run.phase)](run, until)
        if rest or interrupted() or time.monotonic() >= until:
            return facts_of(run_of(run_id), rest=rest)


# --- verdicts -------------------------------------------------------------------------------------
def verify(run: SyncRun, verdict: SyncVerdict, *, first: bool) -> bool:
    """Ask the directory whether both sides of a type are equal, and keep its answer."""
    verifier, count = verifier_of(run.participant, KeyType(verdict.key_type))
    answer = directory().sync_verify(
        participant=run.participant, key_type=verdict.key_type, verifier=verifier
    )
    verdict.ours, verdict.verified_at = count, answer.verified_at or timezone.now()
    name = "before" if first else "after"
    setattr(verdict, name, answer.ok)
    verdict.save(update_fields=["ours", "verified_at", name])
    process.announce(SYNC, run)
    return answer.ok


def _verify(run: SyncRun, until: float) -> float:
    for verdict in run.verdicts.filter(before=None):
        verify(run, verdict, first=True)
        if time.monotonic() >= until:
            return 0.0
    left = unequal(run)
    if not left:
        phase_move(run, SyncPhase.REPORT)
    elif run.sync_type == FULL or not any(_log_from(run, verdict) for verdict in left):
        phase_move(run, SyncPhase.RECEIVE)
    else:
        phase_move(run, SyncPhase.REPLAY)
    return 0.0


def _verify_again(run: SyncRun, until: float) -> float:
    for verdict in run.verdicts.filter(before=False, after=None):
        verify(run, verdict, first=False)
        if time.monotonic() >= until:
            return 0.0
    with transaction.atomic(durable=True):
        if now := still(run, SyncPhase.VERIFY_AGAIN):
            left = now.verdicts.filter(before=False, after=False)
            now.phase = SyncPhase.RECEIVE if left.update(after=None) else SyncPhase.REPORT
            process.save(SYNC, now, "phase")
    return 0.0


# --- the log --------------------------------------------------------------------------------------
def _replay(run: SyncRun, until: float) -> float:
    for verdict in unequal(run):
        while not verdict.log_done:
            _read_page(run, verdict)
            if time.monotonic() >= until:
                return 0.0
    phase_move(run, SyncPhase.REPLAYED)
    return 0.0


def _log_from(run: SyncRun, verdict: SyncVerdict) -> datetime | None:
    """Return where the log is read from: the date that was asked for, or the last verification of
    the type that was OK."""
    if run.since:
        return run.since
    equal = SyncVerdict.objects.filter(
        Q(after=True) | Q(before=True),
        run__participant=run.participant,
        key_type=verdict.key_type,
    )
    newest = equal.exclude(run=run).order_by("-verified_at").first()
    return newest.verified_at - OVERLAP if newest and newest.verified_at else None


def _read_page(run: SyncRun, verdict: SyncVerdict) -> None:
    begins = verdict.log_at or _log_from(run, verdict)
    if begins is None:
        verdict.log_done = True
        verdict.save(update_fields=["log_done"])
        return
    if verdict.asked_at is None:
        verdict.asked_at = timezone.now()
        verdict.save(update_fields=["asked_at"])
    page = directory().cid_events_list(
        participant=run.participant,
        key_type=verdict.key_type,
        since=begins,
        until=max(begins, verdict.verified_at or begins),
        limit=PAGE,
    )
    with transaction.atomic(durable=True):
        if still(run, SyncPhase.REPLAY):
            _keep_page(run, verdict, begins, page)
    failpoint("sync.page_kept")


def _keep_page(run: SyncRun, verdict: SyncVerdict, begins: datetime, page: CidEventsPage) -> None:
    now = SyncVerdict.objects.select_for_update().get(pk=verdict.pk)
    if now.log_at == verdict.log_at and not now.log_done:
        seen = set(now.log_seen)
        # Both ends of a window are in it: what came at its first moment comes again.
        new = [event for event in page.events if _told(event) not in seen]
        for event in new:
            _apply(run, now, event)
        last = page.events[-1].at if page.events else begins
        now.log_seen = sorted(_told(event) for event in page.events if event.at == last)
        now.log_from = now.log_from or begins
        now.log_at, now.log_events = last, now.log_events + len(new)
        now.log_done = not page.has_more
        if page.has_more and (not new or now.log_events > MOST_EVENTS):
            logger.info("sync.log_left", key_type=now.key_type, events=now.log_events)
            _forget_log(run, now)
        elif now.log_done and is_too_much(run, now):
            # A person is asked once, about all that differs: the file says what does.
            _forget_log(run, now)
        now.save(update_fields=["log_seen", "log_from", "log_at", "log_events", "log_done"])
    verdict.refresh_from_db()


def _told(event: CidEvent) -> str:
    return f"{event.cid} {event.type} {event.at.isoformat()}"


def _apply(run: SyncRun, verdict: SyncVerdict, event: CidEvent) -> None:
    """Note what the event means for us, in the order of events: the last one of a CID counts."""
    cid, added = bytes.fromhex(event.cid), event.type == "ADDED"
    here = Entry.objects.filter(
        participant=run.participant, key_type=verdict.key_type, cid=cid
    ).exists()
    pending = SyncDifference.objects.filter(
        run=run, key_type=verdict.key_type, cid=cid, state=DifferenceState.PENDING
    )
    pending.delete()
    if added != here:
        SyncDifference.objects.bulk_create(
            [
                SyncDifference(
                    run=run,
                    key_type=verdict.key_type,
                    cid=cid,
                    kind=DifferenceKind.MISSING if added else DifferenceKind.EXTRA,
                )
            ],
            ignore_conflicts=True,
        )


def _forget_log(run: SyncRun, verdict: SyncVerdict) -> None:
    SyncDifference.objects.filter(
        run=run, key_type=verdict.key_type, state=DifferenceState.PENDING
    ).delete()
    verdict.log_done = True


# --- the files ------------------------------------------------------------------------------------
def _receive(run: SyncRun, until: float) -> float:
    rest = 0.0
    for verdict in unequal(run):
        while not verdict.whole and not verdict.error_code:
            rest = _receive_some(run, verdict, until)
            if rest:
                break
            if time.monotonic() >= until:
                return 0.0
    if not rest:
        phase_move(run, SyncPhase.COMPARE)
    return rest


def _receive_some(run: SyncRun, verdict: SyncVerdict, until: float) -> float:
    if not verdict.file_id:
        _ask_for_file(run, verdict)
        return 0.0
    try:
        file = directory().sync_file_get(participant=run.participant, file_id=verdict.file_id)
    except DirectoryRefused as refused:
        # The directory does not keep them for ever.
        if refused.code != "directory_not_found":
            raise
        file_give_up(run, verdict, code="file_unavailable", detail=refused.recorded)
        return 0.0
    if file.status in ("REQUESTED", "PROCESSING"):
        return REST
    if file.status != "AVAILABLE" or not file.sha256:
        file_give_up(run, verdict, code="file_unavailable", detail=file.status)
        return 0.0
    if file.size > MOST_BYTES:
        file_give_up(run, verdict, code="file_too_large", detail=f"{file.size:,} bytes", often=1)
        return 0.0
    verdict.file_bytes, verdict.file_sha256 = file.size, file.sha256
    verdict.save(update_fields=["file_bytes", "file_sha256"])
    before = verdict.received
    if verdict.received < file.size:
        _download(run, verdict, until)
    if verdict.received > file.size:
        file_give_up(run, verdict, code="file_corrupt", detail="It is longer than it said.")
        return 0.0
    verdict.whole = verdict.received == file.size
    verdict.save(update_fields=["whole"])
    return 0.0 if verdict.whole or verdict.received > before else REST


def _ask_for_file(run: SyncRun, verdict: SyncVerdict) -> None:
    # By our own clock, which may be another one than the directory's, and before it is asked.
    asked_at = timezone.now()
    file = directory().sync_file_create(participant=run.participant, key_type=verdict.key_type)
    # Of two that asked at once, the first file counts: its chunks may be on their way.
    SyncVerdict.objects.filter(pk=verdict.pk, file_id="").update(
        file_id=file.id[:100], asked_at=asked_at, file_asked=F("file_asked") + 1
    )
    verdict.refresh_from_db()


def _download(run: SyncRun, verdict: SyncVerdict, until: float) -> None:
    parts = directory().sync_file_download(
        participant=run.participant,
        file_id=verdict.file_id,
        offset=verdict.received,
        # We end it ourselves, after a chunk: this is for a stream that stands still.
        within=max(until - time.monotonic(), 0.0) + PATIENCE,
    )
    for part in parts:
        with transaction.atomic(durable=True):
            # Whoever is here first writes it; the other one sees that it is behind.
            mine = SyncVerdict.objects.filter(
                pk=verdict.pk, file_id=verdict.file_id, received=part.offset
            ).update(received=part.offset + len(part.data))
            if not mine or still(run, SyncPhase.RECEIVE) is None:
                transaction.set_rollback(True)
                break
            SyncChunk.objects.create(
                run=run, key_type=verdict.key_type, offset=part.offset, data=part.data
            )
        failpoint("sync.chunk_kept")
        process.announce(SYNC, run)
        if time.monotonic() >= until:
            break
    verdict.refresh_from_db()


def file_give_up(
    run: SyncRun, verdict: SyncVerdict, *, code: str, detail: str, often: int = MOST_FILES
) -> None:
    """Ask for another file, or leave the type after so many: the report says why."""
    with transaction.atomic(durable=True):
        now = SyncVerdict.objects.select_for_update().get(pk=verdict.pk)
        if now.file_id == verdict.file_id:
            chunks_forget(run, now.key_type)
            now.file_id, now.received, now.whole = "", 0, False
            if now.file_asked >= often:
                now.error_code, now.error_detail = code, detail
            now.save(update_fields=["file_id", "received", "whole", "error_code", "error_detail"])
    verdict.refresh_from_db()


_DO: dict[SyncPhase, Callable[[SyncRun, float], float]] = {
    SyncPhase.VERIFY: _verify,
    SyncPhase.REPLAY: _replay,
    SyncPhase.VERIFY_AGAIN: _verify_again,
    SyncPhase.RECEIVE: _receive,
}
