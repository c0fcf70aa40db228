"""Quarantined events as a bad release leaves them, a million or as many as are asked for."""

import psycopg

from benchmarks import filling
from benchmarks.p7_rows import FREQUENT, NOWHERE, RARE, World

TABLES = (
    *("payment_events_quarantine", "payment_events_quarantine_group"),
    "payment_events_quarantine_hour",
)
#: Groups; the first has a third of all events, the last few.
GROUPS = 40
#: The id of the row that has the number.
ROW = "md5('quarantine-' || {n})::uuid"

__all__ = ["FREQUENT", "NOWHERE", "RARE", "fill"]


def fill(connection: psycopg.Connection, world: World) -> None:
    """Events of which nine in ten are open, their groups and hours; analysed. The connection is in
    autocommit mode. Where most requests are settled, no second million is needed."""
    rows = world.rows if world.name != "usual" else min(world.rows, 10_000)
    # Few came in few days: the last of them shows as many bars as of a million.
    days = 30 if rows > 10_000 else 1
    filling.fill(connection, TABLES, STATEMENTS, {"rows": rows, "days": days})


_GROUPS = f"""
INSERT INTO payment_events_quarantine_group
    (id, fingerprint, stage, code, field, open, replaying, replayed, discarded, superseded,
     retargeted, first_at, last_at, alerted_level, alerted_at)
SELECT n, md5(n::text) || md5('x' || n),
       (ARRAY['validate','read','inference','upstream'])[1 + n %% 4],
       (ARRAY['amount_bounds','not_json','inference_refused','reason_x','currency_allowed',
              'wrong_type'])[1 + n %% 6],
       CASE WHEN n %% 2 = 0 THEN 'metadata.item[].sku_' || n ELSE '' END,
       0, 0, 0, 0, 0, 0, now() - interval '30 days', now(), 0, NULL
FROM generate_series(1, {GROUPS}) n WHERE %(rows)s > 0
"""

_EVENTS = f"""
INSERT INTO payment_events_quarantine
    (id, came_once, event_id, intake_id, raw, wrapped, raw_deleted_at, size, digest, stage, code,
     field, errors, group_id, state, attempt, edit, carried, failed_at, review_at, search_text,
     seen, created_at, updated_at, version, key, headers, source, topic, partition, "offset",
     sent_at)
SELECT {ROW.format(n="n")}, md5('once' || n) || md5(n::text), 'stripe:evt_' || n, NULL,
       '{{"amount_cents":0}}'::bytea, FALSE, NULL, 18, md5(n::text) || md5('d' || n), g.stage,
       g.code, g.field,
       jsonb_build_array(jsonb_build_object('code', g.code, 'field', g.field, 'message', 'Bad.')),
       g.id,
       CASE WHEN n %% 10 > 0 THEN 'open'
            ELSE (ARRAY['replayed','discarded','superseded'])[1 + (n / 10) %% 3] END,
       1, 0, 0, at, CASE WHEN n <= 1000 AND n %% 10 > 0 THEN at END,
       'stripe:evt_' || n || ' stripe customer-' || n %% 5000 || ' '
       || (ARRAY['{FREQUENT}','school','well'])[1 + n %% 3] || ' ' || g.code
       || CASE WHEN n %% greatest(%(rows)s / 10, 1) = 77 THEN ' {RARE}' ELSE '' END,
       1, at, at, 1, NULL, '[]', 'kafka', 'payments.normalized', n %% 6, n::text, at
FROM (SELECT n, now() - interval '1 day' * %(days)s * ((%(rows)s - n) / %(rows)s::float8) AS at,
             1 + floor({GROUPS} * power(((n::bigint * 7919) %% 1000) / 1000.0, 3))::int AS of_group
      FROM generate_series(1, %(rows)s) n) drawn
JOIN payment_events_quarantine_group g ON g.id = of_group
"""

_COUNTERS = """
UPDATE payment_events_quarantine_group g
   SET open = c.open, replayed = c.replayed, discarded = c.discarded, superseded = c.superseded,
       first_at = c.first_at, last_at = c.last_at
  FROM (SELECT group_id, count(*) FILTER (WHERE state = 'open') AS open,
               count(*) FILTER (WHERE state = 'replayed') AS replayed,
               count(*) FILTER (WHERE state = 'discarded') AS discarded,
               count(*) FILTER (WHERE state = 'superseded') AS superseded,
               min(created_at) AS first_at, max(created_at) AS last_at
          FROM payment_events_quarantine GROUP BY group_id) c
 WHERE c.group_id = g.id
"""

_HOURS = """
INSERT INTO payment_events_quarantine_hour (group_id, hour, count)
SELECT group_id, date_trunc('hour', created_at), count(*)
FROM payment_events_quarantine GROUP BY 1, 2
"""

#: In this order; parameters `rows` and `days`.
STATEMENTS = (_GROUPS, _EVENTS, _COUNTERS, _HOURS)
