"""The comparison of the directory's files with our entries, the repair, and the last verdicts."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
from django.db import connection, transaction

from apps.common.correlation import get_logger
from apps.common.failpoints import failpoint
from apps.engine import process
from apps.pix.contracts.sync import (
    COMPARING,
    Decision,
    DifferenceKind,
    DifferenceState,
    SyncFacts,
    SyncPhase,
    SyncStatus,
)
from apps.pix.models import SyncDifference, SyncRun, SyncVerdict
from apps.pix.models.content_ids import BUCKETS
from apps.pix.services import sync_deciding
from apps.pix.services.sync_fetching import MOST_FILES, file_give_up, verify
from apps.pix.services.sync_limits import is_too_much
from apps.pix.services.sync_repairing import difference_repair
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
from apps.pix.sync.buckets import bounds
from apps.pix.sync.files import FileRefused

logger = get_logger(__name__)

#: CIDs of both sides in a slice, all of which may differ: so many rows are written in one go.
MOST_IN_A_SLICE = 100_000
#: Chunks of a file in memory at a time, each 1 MiB at most.
CHUNKS_AT_ONCE = 8
REPAIRS_AT_ONCE = 100
ANNOUNCE_SECONDS = 1.0

_BUCKETS = """
SELECT bucket, x0, x1, x2, x3, n FROM pix_syncbucket WHERE participant = %s AND key_type = %s
"""
_CHUNKS = """
SELECT "offset", data FROM pix_syncchunk
 WHERE run_id = %(run)s AND key_type = %(key_type)s AND "offset" >= %(offset)s
 ORDER BY "offset" LIMIT %(most)s
"""
_CIDS = """
SELECT entry.cid
  FROM unnest(%(least)s::bytea[], %(most)s::bytea[]) AS bucket (least, most)
 CROSS JOIN LATERAL (
    SELECT cid FROM pix_entry
     WHERE participant = %(participant)s AND key_type = %(key_type)s
       AND cid >= bucket.least AND cid < bucket.most
 ) AS entry
"""
_KEEP = """
INSERT INTO pix_syncdifference
    (run_id, key_type, kind, cid, state, why, detail, key, before, after, found_at)
SELECT %s, %s, %s, cid, 'pending', '', '', '', '{}', '{}', now()
  FROM unnest(%s::bytea[]) AS found (cid)
    ON CONFLICT DO NOTHING
"""


def sync_compare(run_id: str, *, interrupted: Callable[[], bool] = lambda: False) -> SyncFacts:
    """Compare, repair and verify, as far as the time of one call goes; return what stands. Raises
    NotFound, DirectoryUnavailable, DirectoryRefused."""
    until = time.monotonic() + call_seconds()
    while True:
        run = run_of(run_id)
        if run.status != SyncStatus.RUNNING or run.phase not in COMPARING:
            return facts_of(run)
        _DO[SyncPhase(run.phase)](run, until, interrupted)
        if interrupted() or time.monotonic() >= until:
            return facts_of(run_of(run_id))


# --- the comparison -------------------------------------------------------------------------------
def _compare(run: SyncRun, until: float, interrupted: Callable[[], bool]) -> None:
    for verdict in unequal(run):
        if verdict.error_code or verdict.compared >= BUCKETS:
            continue
        if not verdict.whole:
            phase_move(run, SyncPhase.RECEIVE)
            return
        _compare_type(run, verdict, until, interrupted)
        if time.monotonic() >= until or interrupted():
            return
    if not any(_is_open(verdict) for verdict in unequal(run)):
        _begin_repair(run)


def _is_open(verdict: SyncVerdict) -> bool:
    return not verdict.error_code and verdict.compared < BUCKETS


def differences_found(
    run: SyncRun, verdict: SyncVerdict, *, most: int = MOST_IN_A_SLICE
) -> Iterator[tuple[int, list[bytes], list[bytes]]]:
    """Yield the number of buckets that are compared, the CIDs that only the directory's file has,
    and those that only we have, slice by slice, from `verdict.compared` on. Sets the number of the
    file's CIDs. Raises FileRefused `file_invalid`, `file_duplicates`, `file_corrupt`."""
    # Arrays take 30 MB: only the process that compares has them.
    from apps.pix.sync import compare

    parts = partial(_parts, run, verdict.key_type)
    folded = compare.fold(parts())
    if folded.sha256 != verdict.file_sha256:
        raise FileRefused("file_corrupt", "Its SHA-256 is not the directory's.")
    ours = compare.ours_of(_rows(_BUCKETS, [run.participant, verdict.key_type]))
    verdict.theirs = folded.buckets.count
    mask = compare.differing(folded.buckets, ours)
    for end, part in compare.slices(mask, folded.buckets, ours, first=verdict.compared, most=most):
        here = _cids_here(run, verdict.key_type, compare.numbers_in(part))
        there = compare.cids_in(parts(), part)
        yield end, *compare.differences(there, compare.cids_of(here))


def _compare_type(
    run: SyncRun, verdict: SyncVerdict, until: float, interrupted: Callable[[], bool]
) -> None:
    try:
        for end, missing, extra in differences_found(run, verdict):
            _keep(run, verdict, end, missing, extra)
            failpoint("sync.slice_kept")
            if time.monotonic() >= until or interrupted():
                return
    except FileRefused as refused:
        # Another one may have come over better; a wrong form would be made again.
        often = MOST_FILES if refused.code == "file_corrupt" else 1
        file_give_up(run, verdict, code=refused.code, detail=refused.detail, often=often)


def _keep(
    run: SyncRun, verdict: SyncVerdict, end: int, missing: list[bytes], extra: list[bytes]
) -> None:
    with transaction.atomic(durable=True):
        now = still(run, SyncPhase.COMPARE)
        if now is None:
            return
        with connection.cursor() as cursor:
            for kind, cids in ((DifferenceKind.MISSING, missing), (DifferenceKind.EXTRA, extra)):
                cursor.execute(_KEEP, [run.pk, verdict.key_type, kind, cids])
        verdict.compared = end
        verdict.save(update_fields=["compared", "theirs"])
        if end >= BUCKETS:
            chunks_forget(run, verdict.key_type)
        process.announce(SYNC, now)


def _begin_repair(run: SyncRun) -> None:
    """Repair, or ask a person first when a type differs in too much."""
    with transaction.atomic(durable=True):
        now = still(run, SyncPhase.COMPARE)
        if now is None:
            return
        now.phase = SyncPhase.REPAIR
        if now.decision == Decision.NONE and any(is_too_much(now, one) for one in unequal(now)):
            now.status = SyncStatus.WAITING
            process.save(SYNC, now, "phase", "status")
            sync_deciding.repair_ask(now)
        else:
            process.save(SYNC, now, "phase")


def _parts(run: SyncRun, key_type: str) -> Iterator[bytes]:
    """Yield the file as it came, a few chunks in memory at a time."""
    offset = 0
    while True:
        connection.ensure_connection()
        # In binary: as texts the chunks would be twice as long, and be written and read as digits.
        with psycopg.Cursor(connection.connection) as cursor:
            given = {"run": run.pk, "key_type": key_type, "offset": offset, "most": CHUNKS_AT_ONCE}
            found = cursor.execute(_CHUNKS, given, binary=True).fetchall()
        for offset, data in found:
            # What is missing in between shows in the SHA-256.
            yield data
            offset += len(data)
        if len(found) < CHUNKS_AT_ONCE:
            return


def _cids_here(run: SyncRun, key_type: str, numbers: list[int]) -> list[bytes]:
    edges = [bounds(number, number + 1) for number in numbers]
    given = {
        "participant": run.participant,
        "key_type": key_type,
        "least": [least for least, _ in edges],
        "most": [most for _, most in edges],
    }
    return [bytes(cid) for (cid,) in _rows(_CIDS, given)]


def _rows(query: str, given: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        return cursor.fetchall()


# --- the repair -----------------------------------------------------------------------------------
def _repair(run: SyncRun, until: float, interrupted: Callable[[], bool]) -> None:
    if run.decision == Decision.LEAVE:
        _leave_too_much(run)
    told_at = time.monotonic()
    pending = SyncDifference.objects.filter(run=run, state=DifferenceState.PENDING)
    while ids := list(
        pending.order_by("-kind", "id").values_list("pk", flat=True)[:REPAIRS_AT_ONCE]
    ):
        for pk in ids:
            if interrupted() or time.monotonic() >= until:
                return
            if not SyncRun.objects.filter(pk=run.pk, status=SyncStatus.RUNNING).exists():
                return
            difference_repair(run, pk)
            failpoint("sync.repaired")
            if time.monotonic() - told_at >= ANNOUNCE_SECONDS:
                told_at = time.monotonic()
                process.announce(SYNC, run_of(run.pk))
    after_log = run.phase == SyncPhase.REPLAYED
    phase_move(run, SyncPhase.VERIFY_AGAIN if after_log else SyncPhase.VERIFY_LAST)


def _leave_too_much(run: SyncRun) -> None:
    with transaction.atomic(durable=True):
        for verdict in unequal(run):
            if is_too_much(run, verdict):
                sync_deciding.differences_leave(run, verdict)


def _verify_last(run: SyncRun, until: float, interrupted: Callable[[], bool]) -> None:
    for verdict in run.verdicts.filter(before=False, after=None):
        verify(run, verdict, first=False)
        if time.monotonic() >= until or interrupted():
            return
    phase_move(run, SyncPhase.REPORT)


_DO: dict[SyncPhase, Callable[[SyncRun, float, Callable[[], bool]], None]] = {
    SyncPhase.REPLAYED: _repair,
    SyncPhase.COMPARE: _compare,
    SyncPhase.REPAIR: _repair,
    SyncPhase.VERIFY_LAST: _verify_last,
}
