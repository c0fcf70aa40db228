"""Whether the role of automations may do more than automations may. Whoever may write a query in
words has all of the role's rights."""

import time

import psycopg
from django.conf import settings
from psycopg.types.json import Jsonb

from apps.common.correlation import get_logger
from apps.common.errors import NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _

logger = get_logger(__name__)

#: Functions of PostgreSQL itself that everybody may execute, and that reach others from within a
#: select: locks (the relay's leadership is one), notifications, sessions, the write-ahead log.
FORBIDDEN_FUNCTIONS = (
    "^pg_(try_)?advisory_"
    "|^(pg_notify|pg_terminate_backend|pg_cancel_backend|pg_logical_emit_message)$"
)
#: What the role needs in the table that remembers writes.
WRITES_TABLE = "public.automations_write"
ALLOWED = {"r": ["SELECT"], "rw": ["SELECT", "INSERT", "UPDATE", "DELETE"]}
#: So long a role that was found to be weak enough is not looked at again.
KNOWN_SECONDS = 60.0
MOST_TOLD = 5

_TOO_MUCH = """
WITH listed AS (
    SELECT * FROM jsonb_each(%(allowed)s::jsonb) AS listed (name, privileges)
)
SELECT 'SUPERUSER, CREATEROLE, CREATEDB, REPLICATION or BYPASSRLS' FROM pg_roles
 WHERE rolname = current_user
   AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
UNION ALL
SELECT 'member of ' || pg_get_userbyid(roleid) FROM pg_auth_members
 WHERE member = current_user::regrole
UNION ALL
SELECT 'owner of ' || count(*) || ' objects' FROM pg_shdepend
 WHERE refclassid = 'pg_authid'::regclass AND refobjid = current_user::regrole AND deptype = 'o'
HAVING count(*) > 0
UNION ALL
SELECT 'EXECUTE ON FUNCTION ' || oid::regprocedure FROM pg_proc
 WHERE (CASE WHEN pronamespace = 'pg_catalog'::regnamespace THEN proname ~ %(functions)s
             ELSE proname ~ '^dblink'
               OR (prosecdef AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype))
        END)
   AND has_function_privilege(oid, 'EXECUTE')
UNION ALL
SELECT 'CREATE ON SCHEMA ' || nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT privilege || ' ON DATABASE' FROM unnest(ARRAY['CREATE', 'TEMPORARY']) AS privilege
 WHERE has_database_privilege(current_database(), privilege)
UNION ALL
SELECT privilege || ' ON ' || named.name
  FROM pg_class
  JOIN pg_namespace ON pg_namespace.oid = relnamespace
 CROSS JOIN LATERAL (SELECT nspname || '.' || relname AS name) AS named
 CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES', 'DELETE', 'TRUNCATE',
                         'TRIGGER', 'MAINTAIN']) AS privilege
 WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname !~ '^(pg_|information_schema$)'
   AND CASE WHEN privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
            THEN has_any_column_privilege(pg_class.oid, privilege)
            ELSE has_table_privilege(pg_class.oid, privilege) END
   AND NOT EXISTS (SELECT FROM listed WHERE listed.name = named.name AND privileges ? privilege)
UNION ALL
SELECT 'temporary files without limit' WHERE current_setting('temp_file_limit') = '-1'
LIMIT %(most)s
"""

_known: dict[str, float] = {}


def check(connection: psycopg.Connection) -> None:
    """Return if the role may do nothing but what AUTOMATIONS_TABLES says; so long ago as
    KNOWN_SECONDS is as good as now. Raises NotAllowed `database_role_too_strong`, which says what
    it may do besides."""
    allowed = {name: ALLOWED[access] for name, access in settings.AUTOMATIONS_TABLES.items()}
    allowed[WRITES_TABLE] = ["SELECT", "INSERT", "UPDATE"]
    about = f"{settings.AUTOMATIONS_DATABASE_URL} {sorted(allowed.items())}"
    if time.monotonic() < _known.get(about, 0.0):
        return
    asked = {
        "allowed": Jsonb(allowed),
        "functions": FORBIDDEN_FUNCTIONS,
        "most": MOST_TOLD,
    }
    found = [row[0] for row in connection.execute(_TOO_MUCH, asked)]
    if found:
        logger.warning("the role of automations is too strong", may=found)
        raise NotAllowed(
            filled(
                _("The database role of automations may do more than it should: {what}."),
                what="; ".join(found),
            ),
            code="database_role_too_strong",
        )
    _known[about] = time.monotonic() + KNOWN_SECONDS
