"""The `database` node: rows of a permitted table, as a role that may use no other."""

from typing import Any

import psycopg

from apps.automations.database import rights
from apps.automations.database.problems import problems_of
from apps.automations.database.refusals import unavailable
from apps.automations.database.rows import rows_of
from apps.automations.database.session import in_session
from apps.automations.database.statements import (
    Statement,
    checked_alone,
    measured,
    statement_of,
)
from apps.automations.definition import DatabaseData
from apps.automations.nodes.call import Call
from apps.common.errors import Invalid
from apps.common.language import lazy as _

_BEGUN = """
INSERT INTO public.automations_write (key, count, at) VALUES (%s, 0, now())
ON CONFLICT (key) DO NOTHING RETURNING key
"""
_COUNTED = "UPDATE public.automations_write SET count = %s WHERE key = %s"
_KNOWN = "SELECT count FROM public.automations_write WHERE key = %s"


def run(call: Call) -> Any:
    """Return `{rows}` of a select, `{count}` of what writes. A write under a key that was committed
    before does nothing, and returns the count of that time.

    Raises Invalid or NotAllowed for what the settings, the role or PostgreSQL do not allow;
    Unavailable `database_unavailable`, `database_timeout` and `cut_off`.
    """
    for problem in problems_of(call.data):
        raise Invalid(problem.detail, code=problem.code)
    data = DatabaseData.model_validate(call.data)
    statement = statement_of(data, call.values)

    def work(connection: psycopg.Connection) -> Any:
        rights.check(connection)
        if data.operation == "select":
            documents = _read(connection, statement, alone=isinstance(data.query, str))
            return {"rows": rows_of(documents)}
        return {"count": _write(connection, statement, call.key)}

    try:
        return in_session(work, seconds=call.seconds, stopped=call.stopped)
    except UnicodeEncodeError:
        raise Invalid(
            _("A text holds characters that cannot be stored."), code="invalid_text"
        ) from None


def _read(connection: psycopg.Connection, statement: Statement, *, alone: bool) -> list[str | None]:
    """Return the rows as JSON; `alone`: the query is a text, and must be a statement by itself.

    Prepared, because without parameters psycopg would send the text so that it may be several
    statements.
    """
    connection.read_only = True
    with connection.transaction():
        if alone:
            connection.execute(checked_alone(statement.query), statement.parameters, prepare=True)
        query = measured(statement.query)
        found = connection.execute(query, statement.parameters, prepare=True)
        return [row[0] for row in found]


def _write(connection: psycopg.Connection, statement: Statement, key: str) -> int:
    """Write, and remember the key with it; return how many rows."""
    with connection.transaction():
        # Another try of the same key waits here until the first has ended.
        if connection.execute(_BEGUN, [key]).fetchone() is None:
            return _count_of(connection, key)
        count = connection.execute(statement.query, statement.parameters).rowcount
        connection.execute(_COUNTED, [count, key])
        return count


def _count_of(connection: psycopg.Connection, key: str) -> int:
    known = connection.execute(_KNOWN, [key]).fetchone()
    if known is None:
        # It was forgotten in this moment.
        raise unavailable()
    count: int = known[0]
    return count
