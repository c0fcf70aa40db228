"""What an index can serve, asked in a way that does not depend on the planner's mood.

Which plan PostgreSQL chooses for a small table depends on its statistics, which the test did not
make alone. So every other way is closed: no scan of the whole table, no sort where an order is
asked for, no other index that could do. What is left either is the index, or the index is of no
use for this query.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet


def plan_by_index(
    query: "QuerySet[Any] | str", index: str, params: Sequence[Any] = (), *, ordered: bool = False
) -> str:
    """The plan of the query by this index. AssertionError unless the index serves it, and, with
    `ordered`, gives the order as well. Leaves the database as it was.

    `query`: a queryset, or its SQL (with `params`, or with the values in it already).
    """
    sql, values = query.query.sql_with_params() if isinstance(query, QuerySet) else (query, params)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for way in ("seqscan", "sort", "incremental_sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        if ordered:
            # A bitmap forgets the order.
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        for statement in _others(cursor, index):
            cursor.execute(statement)
        cursor.execute(f"EXPLAIN {sql}", values or None)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)
    assert index in plan.split(), f"{index} does not serve it:\n{plan}"
    assert not ordered or "Sort" not in plan, f"{index} does not give the order:\n{plan}"
    return plan


def rows_by_indexes(query: str, params: Mapping[str, Any]) -> float:
    """How many rows the query reads when only indexes may serve it, in their order. Runs it."""
    with transaction.atomic(), connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", params)
        (plan,) = cursor.fetchone()[0]
        transaction.set_rollback(True)
    return _rows_read(plan["Plan"])


def _rows_read(node: dict[str, Any]) -> float:
    own = node["Actual Rows"] * node["Actual Loops"] if "Index Name" in node else 0
    return float(own + sum(_rows_read(child) for child in node.get("Plans", [])))


def _others(cursor: Any, index: str) -> list[str]:
    """The statements that drop every other index of its table, but for those that a foreign key
    needs, and the primary key's."""
    cursor.execute(
        "SELECT CASE WHEN held.oid IS NULL"
        " THEN format('DROP INDEX %%s', other.indexrelid::regclass)"
        " ELSE format('ALTER TABLE %%s DROP CONSTRAINT %%I',"
        "             other.indrelid::regclass, held.conname) END"
        " FROM pg_index mine"
        " JOIN pg_index other ON other.indrelid = mine.indrelid"
        " LEFT JOIN pg_constraint held"
        "   ON held.conindid = other.indexrelid AND held.contype IN ('u', 'x')"
        " WHERE mine.indexrelid = %s::regclass AND other.indexrelid <> mine.indexrelid"
        " AND NOT other.indisprimary AND NOT EXISTS"
        " (SELECT FROM pg_constraint WHERE conindid = other.indexrelid AND contype = 'f')",
        [index],
    )
    return [statement for (statement,) in cursor.fetchall()]
