"""What the database itself knows of content ids (CIDs): how one is computed, and triggers that keep
every CID ever had and the buckets that are compared with the directory. A change by plain SQL is
in them too."""

import pgtrigger
from django.db import models
from django.db.models import Case, F, Func, Q, When

from apps.pix.contracts import EntryStatus

#: HMAC-SHA256 over the attributes as they stand, by the 16 bytes of the request id. Bound when it
#: is created (RETURN), so that a restored dump finds `hmac` whatever its search path is.
#: `convert_to` is only STABLE, because somebody could change a conversion: to UTF-8 nobody does.
CREATE_CID = """
CREATE FUNCTION pix_cid(
    request_id uuid, key_type text, key text, tax_id text, name text, trade_name text,
    participant text, branch text, account_number text, account_type text
) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN hmac(
    convert_to(
        key_type || '&' || key || '&' || tax_id || '&' || name || '&' || trade_name || '&'
            || participant || '&' || branch || '&' || account_number || '&' || account_type,
        'UTF8'
    ),
    uuid_send(request_id),
    'sha256'
)
"""
DROP_CID = "DROP FUNCTION pix_cid"
#: Chunks are digits, which nothing but time is won of by compressing.
CHUNKS_AS_THEY_ARE = "ALTER TABLE pix_syncchunk ALTER COLUMN data SET STORAGE EXTERNAL"
CHUNKS_AS_OTHERS = "ALTER TABLE pix_syncchunk ALTER COLUMN data SET STORAGE EXTENDED"

#: Columns of an entry in the order of `pix_cid`.
HASHED = (
    "request_id",
    "key_type",
    "key",
    "tax_id",
    "name",
    "trade_name",
    "participant",
    "branch",
    "account_number",
    "account_type",
)
#: A bucket is the first two bytes of a CID.
BUCKETS = 65_536
LANES = 4


def cid_field() -> models.GeneratedField:
    """Return the column with the CID of an entry that the directory has; else NULL."""
    return models.GeneratedField(
        expression=Case(
            When(
                Q(status=EntryStatus.ACTIVE) & ~Q(key="") & Q(request_id__isnull=False),
                then=Func(*map(F, HASHED), function="pix_cid"),
            ),
            default=None,
            output_field=models.BinaryField(),
        ),
        output_field=models.BinaryField(null=True),
        db_persist=True,
    )


def lane(number: int, cid: str = "cid") -> str:
    """Return the SQL of one of the four parts of a CID as a bigint."""
    return f"('x' || encode(substr({cid}, {number * 8 + 1}, 8), 'hex'))::bit(64)::bigint"


def bucket(cid: str = "cid") -> str:
    """Return the SQL of the number of a CID's bucket."""
    return f"(get_byte({cid}, 0) << 8 | get_byte({cid}, 1))"


# A row that keeps its CID, participant and type is on both sides, and leaves nothing. Buckets are
# locked in their order: two statements never wait for each other. Two transactions of several
# statements can (40P01): the one that PostgreSQL ends is tried again.
_MOVED = """
    WITH moved AS MATERIALIZED (
        SELECT participant, key_type, cid, id, sum(sign)::int AS sign
          FROM ({rows}) AS changed
         GROUP BY participant, key_type, cid, id
        HAVING sum(sign) <> 0
    ), kept AS (
        INSERT INTO pix_cidevent (participant, key_type, cid, op, entry, at)
        SELECT participant, key_type, cid,
               CASE WHEN sign > 0 THEN 'ADDED' ELSE 'REMOVED' END, id, clock_timestamp()
          FROM moved ORDER BY sign, cid
    )
    INSERT INTO pix_syncbucket AS known (participant, key_type, bucket, x0, x1, x2, x3, n)
    SELECT participant, key_type, {bucket} AS number,
           bit_xor({lane0}), bit_xor({lane1}), bit_xor({lane2}), bit_xor({lane3}), sum(sign)
      FROM moved
     GROUP BY participant, key_type, number
     ORDER BY participant, key_type, number
        ON CONFLICT (participant, key_type, bucket) DO UPDATE
       SET x0 = known.x0 # excluded.x0, x1 = known.x1 # excluded.x1,
           x2 = known.x2 # excluded.x2, x3 = known.x3 # excluded.x3,
           n = known.n + excluded.n;
    RETURN NULL;
"""
_BEFORE = "SELECT participant, key_type, cid, id, -1 AS sign FROM before WHERE cid IS NOT NULL"
_AFTER = "SELECT participant, key_type, cid, id, 1 AS sign FROM after WHERE cid IS NOT NULL"


def _moved(rows: str) -> str:
    lanes = {f"lane{number}": lane(number) for number in range(LANES)}
    return _MOVED.format(rows=rows, bucket=bucket(), **lanes)


def entry_triggers() -> list[pgtrigger.Trigger]:
    """Return the triggers of entries: one an operation, as transition tables need."""
    both = f"{_BEFORE} UNION ALL {_AFTER}"
    said = (
        ("added", pgtrigger.Insert, pgtrigger.Referencing(new="after"), _AFTER),
        ("changed", pgtrigger.Update, pgtrigger.Referencing(old="before", new="after"), both),
        ("removed", pgtrigger.Delete, pgtrigger.Referencing(old="before"), _BEFORE),
    )
    return [
        pgtrigger.Trigger(
            name=f"entry_cid_{name}",
            operation=operation,
            when=pgtrigger.After,
            level=pgtrigger.Statement,
            referencing=referencing,
            func=_moved(rows),
        )
        for name, operation, referencing, rows in said
    ]
