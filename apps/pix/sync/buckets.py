"""Our side of a comparison: buckets of (XOR, number) that the database keeps, and their CIDs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from apps.pix.contracts import KeyType
from apps.pix.models.content_ids import BUCKETS, bucket, lane

#: Buckets that are made anew in one transaction: at five million entries 80,000 rows.
STEP = 1_024
_UNSIGNED = 1 << 64
#: Longer than a CID, and none is greater.
_ABOVE_ALL = b"\xff" * 33

_VERIFIER = """
SELECT bit_xor(x0), bit_xor(x1), bit_xor(x2), bit_xor(x3), sum(n)
  FROM pix_syncbucket WHERE participant = %s AND key_type = %s
"""
_MISSING = f"""
INSERT INTO pix_syncbucket (participant, key_type, bucket, x0, x1, x2, x3, n)
SELECT DISTINCT participant, key_type, {bucket()} AS number, 0, 0, 0, 0, 0
  FROM pix_entry
 WHERE participant = %(participant)s AND key_type = %(key_type)s
   AND cid >= %(least)s AND cid < %(most)s
 ORDER BY number
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - names of our own
_LOCK = """
SELECT FROM pix_syncbucket
 WHERE participant = %(participant)s AND key_type = %(key_type)s
   AND bucket >= %(first)s AND bucket < %(last)s
 ORDER BY bucket FOR UPDATE
"""
_REBUILD = f"""
WITH real AS (
    SELECT {bucket()} AS bucket, bit_xor({lane(0)}) AS x0, bit_xor({lane(1)}) AS x1,
           bit_xor({lane(2)}) AS x2, bit_xor({lane(3)}) AS x3, count(*) AS n
      FROM pix_entry
     WHERE participant = %(participant)s AND key_type = %(key_type)s
       AND cid >= %(least)s AND cid < %(most)s
     GROUP BY 1
)
UPDATE pix_syncbucket AS kept
   SET x0 = COALESCE(real.x0, 0), x1 = COALESCE(real.x1, 0), x2 = COALESCE(real.x2, 0),
       x3 = COALESCE(real.x3, 0), n = COALESCE(real.n, 0)
  FROM pix_syncbucket AS known LEFT JOIN real USING (bucket)
 WHERE known.participant = %(participant)s AND known.key_type = %(key_type)s
   AND known.bucket >= %(first)s AND known.bucket < %(last)s
   AND kept.participant = known.participant AND kept.key_type = known.key_type
   AND kept.bucket = known.bucket
   AND (known.x0, known.x1, known.x2, known.x3, known.n) IS DISTINCT FROM
       (COALESCE(real.x0, 0), COALESCE(real.x1, 0), COALESCE(real.x2, 0), COALESCE(real.x3, 0),
        COALESCE(real.n, 0))
"""  # noqa: S608 - names of our own


@dataclass(frozen=True)
class Rebuilt:
    """A step of `rebuild`: `differed` buckets were not what the entries say."""

    participant: str
    key_type: KeyType
    done: int
    differed: int


def verifier_of(participant: str, key_type: KeyType) -> tuple[str, int]:
    """Return the XOR of the participant's CIDs of this type, as 64 digits, and their number."""
    with connection.cursor() as cursor:
        cursor.execute(_VERIFIER, [participant, key_type])
        *lanes, count = cursor.fetchone()
    return "".join(f"{(part or 0) % _UNSIGNED:016x}" for part in lanes), int(count or 0)


def rebuild(participant: str) -> Iterator[Rebuilt]:
    """Make the participant's buckets anew from its entries, step by step, each in a transaction of
    its own; yield after each. Repeating changes nothing.

    Safe beside writers: a step holds its buckets, and what it does not see yet comes on top of
    them, because its writer waits for them. A deadlock with a writer of several statements ends one
    of the two (OperationalError): call it again.
    """
    for key_type in KeyType:
        for first in range(0, BUCKETS, STEP):
            with transaction.atomic(), connection.cursor() as cursor:
                given = _given(participant, key_type, first)
                # Rows of the step that are not there could not be locked.
                cursor.execute(_MISSING, given)
                missing = cursor.rowcount
                cursor.execute(_LOCK, given)
                cursor.execute(_REBUILD, given)
                differed = cursor.rowcount
            yield Rebuilt(participant, key_type, first + STEP, max(differed, missing))


def participants_with_buckets() -> list[str]:
    """Return the participants that have entries or buckets."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT participant FROM pix_entry WHERE cid IS NOT NULL"
            " UNION SELECT participant FROM pix_syncbucket ORDER BY 1"
        )
        return [participant for (participant,) in cursor.fetchall()]


def bounds(first: int, last: int) -> tuple[bytes, bytes]:
    """Return the least CID of the buckets [first, last), and what is above all of them. Always
    both: an index is read between two ends only."""
    return first.to_bytes(2), last.to_bytes(2) if last < BUCKETS else _ABOVE_ALL


def _given(participant: str, key_type: KeyType, first: int) -> dict[str, Any]:
    last = first + STEP
    least, most = bounds(first, last)
    return {
        "participant": participant,
        "key_type": key_type,
        "first": first,
        "last": last,
        "least": least,
        "most": most,
    }
