"""Fills tables of a migrated database with made rows, a million in a minute or two."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql


def fill(
    connection: psycopg.Connection,
    tables: Sequence[str],
    statements: Sequence[str],
    parameters: Mapping[str, int] | None = None,
) -> None:
    """Empty the tables and what refers to them, and run the statements; analysed afterwards.

    Indexes are built after the rows, foreign keys and triggers do not run: the statements must
    write what the services would have written. The connection is in autocommit mode.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute("SET max_parallel_maintenance_workers = 2")
        cursor.execute("SET session_replication_role = replica")
        with connection.transaction():
            # A table that is emptied in the same transaction is written without a log, where the
            # server's wal_level is minimal.
            cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE".encode())
            indexes = _drop_indexes(cursor, tables)
            for statement in statements:
                cursor.execute(statement.encode(), parameters)
            for definition in indexes:
                cursor.execute(definition.encode())
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(tables)}".encode())
        cursor.execute("CHECKPOINT")


def _drop_indexes(cursor: psycopg.Cursor, tables: Sequence[str]) -> list[str]:
    """Those that no constraint needs; how to make them again."""
    cursor.execute(
        """
        SELECT c.relname, pg_get_indexdef(i.indexrelid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = ANY(%s::regclass[])
          AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)
        """,
        [list(tables)],
    )
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    return [definition for _, definition in found]
