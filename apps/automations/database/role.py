"""SQL that makes the role of `database` nodes, with the rights that the settings say and no others.

It takes away what everybody may do in a new database and automations may not: that needs a
superuser, because the functions are PostgreSQL's own.
"""

from django.conf import settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from apps.automations.database.rights import ALLOWED, FORBIDDEN_FUNCTIONS, WRITES_TABLE

#: Sessions of all processes together: each node that runs has one.
MOST_SESSIONS = 50

_MADE = """
DO $made$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
    CREATE ROLE {role};
  END IF;
END $made$
"""
_WEAK = """
ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
  CONNECTION LIMIT {sessions}
"""
_FUNCTIONS = """
DO $functions$ DECLARE one regprocedure; BEGIN
  FOR one IN SELECT oid FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ {functions}
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', one, {application_name});
  END LOOP;
END $functions$
"""
_TABLES = """
DO $tables$ DECLARE one name; BEGIN
  FOR one IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'
  LOOP
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', one, {name});
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', one);
  END LOOP;
END $tables$
"""


def role_name() -> str:
    """Return the role that AUTOMATIONS_DATABASE_URL logs in as; empty where it is not set."""
    return str(conninfo_to_dict(settings.AUTOMATIONS_DATABASE_URL).get("user") or "")


def statements(*, database: str, application: str) -> list[sql.Composed]:
    """Return the statements, to be run by a superuser within the application's database. They may
    be run again, and then bring the rights to what the settings say.

    `application`: the role of the application, which keeps what everybody else loses.
    """
    name = role_name()
    names = {
        "name": sql.Literal(name),
        "role": sql.Identifier(name),
        "database": sql.Identifier(database),
        "application": sql.Identifier(application),
        "application_name": sql.Literal(application),
        "functions": sql.Literal(FORBIDDEN_FUNCTIONS),
        "sessions": sql.Literal(MOST_SESSIONS),
    }
    templates = (
        _MADE,
        _WEAK,
        "ALTER ROLE {role} SET temp_file_limit = '256MB'",
        "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        "GRANT TEMPORARY ON DATABASE {database} TO {application}",
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        _FUNCTIONS,
        _TABLES,
    )
    made = [sql.SQL(template.strip()).format(**names) for template in templates]
    return [*made, *_grants(sql.Identifier(name))]


def _grants(role: sql.Identifier) -> list[sql.Composed]:
    rights = {
        WRITES_TABLE: ["SELECT", "INSERT", "UPDATE (count)"],
        **{table: ALLOWED[access] for table, access in settings.AUTOMATIONS_TABLES.items()},
    }
    schemas = sorted({table.partition(".")[0] for table in rights})
    usage = [
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)
        for schema in schemas
    ]
    return usage + [
        sql.SQL("GRANT {} ON {} TO {}").format(
            sql.SQL(", ".join(privileges)), sql.Identifier(*table.split(".")), role
        )
        for table, privileges in rights.items()
    ]
