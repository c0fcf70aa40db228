"""Entries of one participant, and a file of their CIDs as a directory has it that differs in a
thousand: 400 changed, 300 missing here, 300 missing there."""

import hashlib
import uuid
from random import Random

import psycopg

from benchmarks.p6_side import digest

ISPB, KEY_TYPE = "12345678", "PHONE"
CHANGED, MISSING, EXTRA = 400, 300, 300
TAMPERED = CHANGED + MISSING + EXTRA
CHUNK = 1024 * 1024

#: What is measured needs the CIDs' own index and no other.
_DROPPED = """
SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index
 WHERE indrelid = 'pix_entry'::regclass AND indexrelid::regclass::text <> 'cid_once'
   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
_FILL = """
INSERT INTO pix_entry (id, entry_id, key_type, key, participant, branch, account_number,
    account_type, owner_type, tax_id, name, trade_name, request_id, status, origin, created_at,
    updated_at, version)
SELECT id, 'BENCH-' || number, %(key_type)s, '+5561' || number, %(ispb)s, '0001',
       lpad(number::text, 10, '0'), 'CACC', 'NATURAL_PERSON', '11122233396', 'João Silva', '', id,
       'active', 'directory', now(), now(), 1
  FROM (SELECT number, gen_random_uuid() AS id FROM generate_series(%(first)s, %(last)s) AS number)
       AS made
"""
_RUN = """
INSERT INTO pix_syncrun (id, idempotency_key, request_digest, error_code, error_detail, version,
    created_at, workflow_id, participant, trigger, sync_type, status, phase, decision, ends_at,
    report)
VALUES (%s, '', '', '', '', 1, now(), %s, %s, 'engine', '', 'failed', 'compare', '', now(), '{}')
"""
_VERDICT = """
INSERT INTO pix_syncverdict (run_id, key_type, before, ours, log_seen, log_events, log_done,
    file_id, file_bytes, file_sha256, file_asked, received, whole, compared, error_code,
    error_detail)
VALUES (%s, %s, false, %s, '[]', 0, true, 'bench', %s, %s, 1, %s, true, 0, '', '')
"""


class Rows:
    """The tables of a measurement."""

    def __init__(self, connection: psycopg.Connection, chance: Random) -> None:
        self._connection = connection
        self._chance = chance
        self._size = 0
        connection.execute("ALTER TABLE pix_entry DISABLE TRIGGER USER")
        for (statement,) in connection.execute(_DROPPED).fetchall():
            connection.execute(statement)

    def fill(self, size: int) -> None:
        """So many entries in all, and their buckets."""
        given = {"key_type": KEY_TYPE, "ispb": ISPB, "first": self._size + 1, "last": size}
        self._connection.execute(_FILL, given)
        self._connection.execute("TRUNCATE pix_syncbucket")
        self._connection.execute(_buckets())
        self._connection.execute("VACUUM ANALYZE pix_entry, pix_syncbucket")
        self._size = size

    def file(self) -> tuple[str, str]:
        """A run with a file in random order; its id, and the digest of what must be found."""
        rows = self._connection.execute("SELECT cid FROM pix_entry").fetchall()
        cids = [bytes(cid) for (cid,) in rows]
        self._chance.shuffle(cids)
        extra = cids[: CHANGED + EXTRA]
        missing = [self._chance.randbytes(32) for _ in range(CHANGED + MISSING)]
        there = [*missing, *cids[CHANGED + EXTRA :]]
        self._chance.shuffle(there)
        run = str(uuid.uuid4())
        self._connection.execute(_RUN, [run, f"bench-{run}", ISPB])
        sha, size, waiting = hashlib.sha256(), 0, bytearray()
        with (
            self._connection.cursor() as cursor,
            cursor.copy(
                'COPY pix_syncchunk (run_id, key_type, "offset", data) FROM STDIN (FORMAT BINARY)'
            ) as copy,
        ):
            copy.set_types(["uuid", "text", "int8", "bytea"])
            for place, cid in enumerate(there, 1):
                waiting += cid.hex().encode() + b"\n"
                while len(waiting) >= CHUNK or (place == len(there) and waiting):
                    part = bytes(waiting[:CHUNK])
                    del waiting[:CHUNK]
                    copy.write_row((uuid.UUID(run), KEY_TYPE, size, part))
                    sha.update(part)
                    size += len(part)
        given = [run, KEY_TYPE, self._size, size, sha.hexdigest(), size]
        self._connection.execute(_VERDICT, given)
        return run, digest(missing, extra)


def _buckets() -> bytes:
    """As the triggers would have made them one by one; models need Django's settings."""
    from apps.pix.models.content_ids import LANES, bucket, lane

    lanes = ", ".join(f"bit_xor({lane(number)})" for number in range(LANES))
    return (
        "INSERT INTO pix_syncbucket (participant, key_type, bucket, x0, x1, x2, x3, n) "
        f"SELECT participant, key_type, {bucket()}, {lanes}, count(*) "
        "FROM pix_entry GROUP BY 1, 2, 3"
    ).encode()
