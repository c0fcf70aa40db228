"""Deletes payloads that nobody needs any more: what came, its key and its headers. Who it was
(id, digest, size), where it came from and what it failed with stay."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from apps.payments.contracts import SETTLED
from apps.payments.models.quarantine import SETTLED_IN_SQL

#: Rows of one statement.
STEP = 500

#: Sentences may quote the payload: of the errors only codes and fields stay.
_CODES = """(SELECT coalesce(jsonb_agg(one - 'message' ORDER BY place), '[]')
                   FROM jsonb_array_elements(known.errors) WITH ORDINALITY AS e (one, place))"""
_QUARANTINE = f"""
WITH gone AS (
UPDATE payment_events_quarantine AS known
   SET raw = NULL, key = NULL, headers = '[]', raw_deleted_at = %(now)s, errors = {_CODES},
       search_text = concat_ws(' ', event_id, code)
 WHERE raw_deleted_at IS NULL AND state = ANY(%(settled)s) AND id = ANY({{which}})
RETURNING id
), attempts AS (
UPDATE payment_events_quarantine_attempt AS known SET errors = {_CODES}
 WHERE event_id IN (SELECT id FROM gone)
), edits AS (
UPDATE payment_events_quarantine_edit SET raw = '', changes = '[]', reason = ''
 WHERE event_id IN (SELECT id FROM gone)
)
SELECT id FROM gone
"""  # noqa: S608 - our own names
OLD_ROWS = f"""
SELECT id FROM payment_events_quarantine
 WHERE state IN ({SETTLED_IN_SQL}) AND raw_deleted_at IS NULL
   AND updated_at < %(before)s
 ORDER BY updated_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - our own names
_INTAKE = """
UPDATE payments_intake SET raw = '', key = NULL, headers = '[]'
 WHERE done_at IS NOT NULL AND raw <> '' AND id = ANY({which})
"""
OLD_INTAKES = """
SELECT id FROM payments_intake
 WHERE done_at IS NOT NULL AND raw <> '' AND done_at < %(before)s
 ORDER BY done_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
"""


def payloads_delete(*, now: datetime, limit: int = STEP) -> int:
    """Delete the payloads of at most `limit` rows of each table that were settled
    PAYMENTS_RAW_DAYS ago; return the larger of the two counts. Rows that wait for a person, or are
    carried, keep theirs at any age.

    One short transaction for each table. Again, or by two at once, nothing happens twice: a row
    that another transaction holds has its turn later.
    """
    before = now - timedelta(days=settings.PAYMENTS_RAW_DAYS)
    given: dict[str, Any] = {"now": now, "before": before, "limit": limit, "settled": list(SETTLED)}
    counts = []
    for update, which in ((_QUARANTINE, OLD_ROWS), (_INTAKE, OLD_INTAKES)):
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            # As an array: a subquery may be run again for every row, beyond its limit.
            cursor.execute(update.format(which=f"ARRAY({which})"), given)
            counts.append(cursor.rowcount)
    return max(counts)


def payloads_delete_of(
    *, rows: Sequence[UUID] = (), intakes: Sequence[int] = (), now: datetime
) -> tuple[int, int]:
    """Delete the payloads of these settled rows of the quarantine and of these done intakes at any
    age; return how many of each. Joins the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            _QUARANTINE.format(which="%(ids)s::uuid[]"),
            {"now": now, "settled": list(SETTLED), "ids": list(rows)},
        )
        deleted = cursor.rowcount
        cursor.execute(_INTAKE.format(which="%(ids)s::bigint[]"), {"ids": list(intakes)})
        return deleted, cursor.rowcount
