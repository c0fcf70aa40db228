"""Synchronisations for the fault harness: what the log tells of, and what only the file does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import randrange
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge import directory_pb2_grpc as services
from tests.directory import SILENT, SimulatedDirectory
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

ENTRIES, CHANGED, MISSING, EXTRA = 60, 3, 2, 2
_OURS_NOW = """
INSERT INTO pix_participant VALUES (%s, '', true, now())
    ON CONFLICT (ispb) DO UPDATE SET ours = true
"""
_FILL = """
INSERT INTO pix_entry (id, entry_id, key_type, key, participant, branch, account_number,
    account_type, owner_type, tax_id, name, trade_name, request_id, status, origin, created_at,
    updated_at, version)
SELECT id, id, 'PHONE', '+' || %s || lpad(number::text, 7, '0'), %s, '0001',
       lpad(number::text, 10, '0'), 'CACC', 'NATURAL_PERSON', '11122233396', 'João Silva', '',
       gen_random_uuid(), 'active', 'directory', now(), now(), 1
  FROM (SELECT number, gen_random_uuid() AS id FROM generate_series(1, %s) AS number) AS made
"""
_READ = """
SELECT request_id, key, account_number FROM pix_entry WHERE starts_with(key, %s) ORDER BY key
"""
_STATUS = "SELECT status, participant FROM pix_syncrun WHERE id = %s"
_FOUND = """
SELECT kind, state, count(*) FROM pix_syncdifference WHERE run_id = %s GROUP BY 1, 2 ORDER BY 1
"""
_AUDITED = """
SELECT action, count(*), count(DISTINCT subject_id) FROM audit_auditentry
 WHERE subject_type = 'entry' AND body ->> 'sync_run' = %s GROUP BY 1 ORDER BY 1
"""
_OURS = "SELECT encode(cid, 'hex') FROM pix_entry WHERE participant = %s AND cid IS NOT NULL"
_ENDED = ("ok", "differs", "failed", "stopped")


@contextmanager
def directory_of(story: Story) -> Iterator[SimulatedDirectory]:
    """The directory of the stack, which nobody kills."""
    one = SimulatedDirectory(f"127.0.0.1:{story.stack.ports['BRIDGE_PORT']}")
    try:
        yield one
    finally:
        one.close()


def a_participant(story: Story, entries: int) -> str:
    """A participant with so many more keys on both sides, which a first run has found equal; its
    ISPB. The simulated directory knows a few: this one has nothing to do in other stories, and some
    keys there from the beginning."""
    story.stack.sql(_OURS_NOW, SILENT)
    begins = f"5{randrange(10**5):05}"
    story.stack.sql(_FILL, begins, SILENT, entries)
    with directory_of(story) as directory:
        directory.load(_theirs(story, begins))
    first = begun(story, SILENT)
    eventually(lambda: ended(story, first), timeout=300, every=0.1)
    return SILENT


def tampered(story: Story, ispb: str, *, changed: int, missing: int, extra: int) -> None:
    """Make the directory's side another one, without an event."""
    counts = {"changed": changed, "missing": missing, "extra": extra, "key_type": "PHONE"}
    with directory_of(story) as directory:
        directory.tamper(ispb, **counts)


def begun(story: Story, ispb: str) -> str:
    """Ask for a run as a careful client does; its id."""
    body = {"participant": ispb, "idempotency_key": f"fault-{uuid4()}"}
    answer = story.insist("POST", "/pix/sync-runs", user="admin", body=body)
    assert answer.status in (200, 201), answer
    return str(answer.body["id"])


def ended(story: Story, run: str) -> bool:
    """Whether it has come to its end."""
    return bool(story.stack.sql(_STATUS, run)[0][0] in _ENDED)


def prove(story: Story, run: str, *, changed: int, missing: int, extra: int) -> None:
    """AssertionError unless all was found exactly, each repaired once, and both sides are equal."""
    [(status, ispb)] = story.stack.sql(_STATUS, run)
    assert status == "ok", run
    # What the directory lacks is extra here, and what it has more is missing here.
    assert story.stack.sql(_FOUND, run) == [
        ("changed", "repaired", changed),
        ("extra", "repaired", missing),
        ("missing", "repaired", extra),
    ]
    assert story.stack.sql(_AUDITED, run) == [
        ("entry.created", extra, extra),
        ("entry.removed", missing, missing),
        ("entry.updated", changed, changed),
    ]
    ours = {cid for (cid,) in story.stack.sql(_OURS, ispb)}
    with directory_of(story) as directory:
        assert ours == {one.cid for one in directory.dump(ispb)}


def _theirs(story: Story, begins: str) -> Iterator[pb.CidEntry]:
    """Our entries as the directory has them, read in parts."""
    postgres = story.stack.private.postgres
    assert postgres is not None
    at = Timestamp()
    at.GetCurrentTime()
    with (
        postgres.connect("countersign") as connection,
        connection.transaction(),
        connection.cursor(name=f"theirs_{uuid4().hex}") as cursor,
    ):
        cursor.itersize = 10_000
        for request_id, key, number in cursor.execute(_READ, [f"+{begins}"]):
            yield pb.CidEntry(
                request_id=str(request_id),
                entry=pb.Entry(
                    key_type="PHONE",
                    key=key,
                    account=pb.Account(
                        participant=SILENT, branch="0001", number=number, type="CACC", opened_at=at
                    ),
                    owner=pb.Owner(type="NATURAL_PERSON", tax_id="11122233396", name="João Silva"),
                    created_at=at,
                    owned_since=at,
                ),
            )


# --- the saga -----------------------------------------------------------------------------------
def _begin(story: Story, points: Points) -> str:
    """Once OK, so that there is a log; then one key goes with an event, and others without."""
    ispb = a_participant(story, ENTRIES)
    tampered(story, ispb, changed=CHANGED, missing=MISSING, extra=EXTRA)
    with directory_of(story) as directory, grpc.insecure_channel(directory.address) as channel:
        key = directory.dump(ispb)[0].entry.key
        gone = pb.DeleteEntryRequest(participant=ispb, key=key, reason="USER_REQUESTED")
        entries: Any = services.EntriesStub(channel)
        entries.Delete(gone, timeout=30)
    return begun(story, ispb)


def _prove(story: Story, runs: Sequence[str]) -> None:
    for run in runs:
        # The key that went may be one that was tampered with: sides and numbers tell.
        [(status, ispb)] = story.stack.sql(_STATUS, run)
        assert status == "ok", run
        ours = {cid for (cid,) in story.stack.sql(_OURS, ispb)}
        with directory_of(story) as directory:
            assert ours == {one.cid for one in directory.dump(ispb)}
        for action, number, subjects in story.stack.sql(_AUDITED, run):
            assert number == subjects, (run, action)


def _around(*activities: str) -> tuple[str, ...]:
    return tuple(f"{name}.{where}" for name in activities for where in ("before", "after"))


SAGAS = [
    FaultSaga(
        name="synchronised",
        begin=_begin,
        ended=ended,
        prove=_prove,
        points=(
            *_around("open_sync", "FetchBacenEntriesActivity", "CompareEntriesActivity"),
            *_around("GenerateSyncReportActivity"),
            *("sync.page_kept", "sync.chunk_kept", "sync.slice_kept", "sync.repaired"),
            "sync.report_uncommitted",
        ),
    )
]

NOT_WALKED = {
    "read_sync": "reads only",
    "expire_sync": "waits for hours; the row's lock and its status make it once",
    "fail_sync": "the row's lock and its status make it once (tests/pix/sync/test_sync.py)",
    "participants_to_sync": "reads only",
}
