"""Requests as years of work leave them, a million or as many as are asked for."""

from dataclasses import dataclass

import psycopg

from benchmarks import filling

TABLES = ("approvals_approvalrequest", "approvals_payloadversion", "approvals_signature")
#: In one row of a hundred thousand; in a third of all; in none.
RARE, FREQUENT, NOWHERE = "xylophone", "clinic", "qwzxjk"


@dataclass(frozen=True)
class World:
    """`rows` requests, the newest `waiting` of which are open. Deterministic."""

    name: str
    rows: int
    waiting: int


def fill(connection: psycopg.Connection, world: World) -> None:
    """Requests, one payload version each, one signature for each that is settled; analysed. The
    connection is in autocommit mode."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.4)")
    parameters = {"rows": world.rows, "waiting": world.waiting}
    filling.fill(connection, TABLES, STATEMENTS, parameters)


# Time runs evenly over 700 days; ids are UUIDs of version 7, as the code makes them.
_REQUESTS = f"""
WITH people AS (
    SELECT max(id) FILTER (WHERE username = 'requester') AS requester,
           max(id) FILTER (WHERE username = 'operator') AS operator,
           max(id) FILTER (WHERE username = 'reviewer') AS reviewer,
           max(id) FILTER (WHERE username = 'reviewer2') AS reviewer2
    FROM accounts_user
), drawn AS (
    SELECT n,
           now() - interval '700 days' * ((%(rows)s - n) / %(rows)s::float8) AS created_at,
           n > %(rows)s - %(waiting)s AS waits,
           random() AS a, random() AS b, random() AS c, random() AS d
    FROM generate_series(1, %(rows)s) n
), named AS (
    SELECT *,
           (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
            || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
           CASE WHEN a < 0.8 THEN 'NGN' ELSE 'BRL' END AS currency,
           round((10000 + 5000 * exp(4 * b))::numeric, 2) AS amount,
           (ARRAY['Ngozi','Rafael','Helena','Tunde','Beatriz','Chidi','Amaka','Funke','Joao',
                  'Zainab'])[1 + floor(c * 10)::int] || ' ' ||
           (ARRAY['Okafor','Moreira','Duarte','Bakare','Nogueira','Anozie','Eze','Alade','Silva',
                  'Bello','Costa','Adeyemi'])[1 + floor(d * 12)::int] AS person,
           (ARRAY['{FREQUENT}','school','well','bridge','market','road'])
               [1 + floor(power(a * 7 - floor(a * 7), 1.8) * 6)::int] AS thing
    FROM drawn
)
INSERT INTO approvals_approvalrequest
    (id, key, kind, scope, title, subject_type, subject_id, workflow_id, requested_by_id, amount,
     currency, status, rule_id, tiers, band, tier_number, tier_group, reason_required,
     payload_number, version, created_at, due_at, expires_at, clock, claimed_by_id, claimed_until,
     holds, escalated_group, escalated_to_id, escalated_at, search_text, settled_at, settled_by_id,
     settled_reason, settled_reason_code)
SELECT id, 'bench:' || n,
       CASE WHEN b < 0.95 THEN 'intervention' ELSE 'intervention.attention' END, '',
       currency || ' ' || amount || ' to ' || person || ', ' || thing,
       'intervention', id::text, 'bench-' || n,
       CASE WHEN c < 0.7 THEN requester ELSE operator END,
       amount, currency,
       CASE WHEN waits THEN 'open' WHEN d < 0.85 THEN 'approved' WHEN d < 0.97 THEN 'rejected'
            ELSE 'expired' END,
       NULL, jsonb_build_array(jsonb_build_object('group', tier, 'quorum', 1)), '{{}}', 1, tier,
       true, 1, 1, created_at,
       CASE WHEN d < 0.9 THEN created_at + interval '1 day' * (1 + c * 4) END,
       NULL, '[]',
       CASE WHEN waits AND held THEN CASE WHEN n %% 2 = 0 THEN reviewer ELSE reviewer2 END END,
       CASE WHEN waits AND held THEN now() + interval '1 hour' * (c * 900 - 5) END,
       '{{}}', '', NULL, NULL,
       currency || ' ' || amount || ' to ' || person || ', ' || thing || ' ' || person
       || ' repairs of the ' || thing || ' after the rains, lot ' || substr(md5(n::text), 1, 8)
       || CASE WHEN n %% 100000 = 777 THEN ' {RARE}' ELSE '' END,
       CASE WHEN NOT waits THEN created_at + interval '1 hour' * (1 + c * 30) END,
       CASE WHEN NOT waits THEN reviewer END,
       CASE WHEN NOT waits THEN 'Checked the papers.' ELSE '' END, ''
FROM named, people,
     LATERAL (SELECT CASE WHEN amount > 150000 THEN 'senior reviewer' ELSE 'reviewer' END AS tier,
                     -- A lease is half an hour: nobody holds thousands, however many wait.
                     n > %(rows)s - 2000 AND a * 11 - floor(a * 11) < 0.05 AS held) later
"""

_PAYLOADS = """
INSERT INTO approvals_payloadversion (request_id, number, payload, hash, edited_by_id, created_at)
SELECT id, 1, jsonb_build_object('amount', amount, 'target', title), md5(id::text) || md5(key),
       NULL, created_at
FROM approvals_approvalrequest
"""

_SIGNATURES = """
INSERT INTO approvals_signature
    (request_id, payload_id, tier, actor_id, authority_id, delegation_id, verdict, reason,
     reason_code, via, at)
SELECT r.id, p.id, 1, r.settled_by_id, r.settled_by_id, NULL,
       CASE WHEN r.status = 'approved' THEN 'approve' ELSE 'reject' END, 'Checked the papers.',
       '', 'page', r.settled_at
FROM approvals_approvalrequest r JOIN approvals_payloadversion p ON p.request_id = r.id
WHERE r.settled_by_id IS NOT NULL
"""

#: In this order; parameters `rows` and `waiting`.
STATEMENTS = (_REQUESTS, _PAYLOADS, _SIGNATURES)
