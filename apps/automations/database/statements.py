"""SQL of `database` nodes. Names become quoted identifiers, values become parameters; PostgreSQL
converts them to the types of the columns."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import sql

from apps.automations.database.tables import full_name
from apps.automations.definition import MOST_ROWS, DatabaseData, Query
from apps.automations.expressions.templates import filled_in
from apps.automations.values import MOST_BYTES
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

#: What a read brings at most: with one row more it is known that there are too many.
_ROWS = MOST_ROWS + 1


class Statement(NamedTuple):
    """One statement with its parameters, by name."""

    query: sql.Composed
    parameters: dict[str, Any]


def statement_of(data: DatabaseData, values: Mapping[str, Any]) -> Statement:
    """Return the node's statement, its expressions filled in from `values`.

    Raises what `filled_in` raises; Invalid `where_missing` where an expression of `where` finds
    nothing.
    """
    if isinstance(data.query, str):
        given = filled_in(data.parameters, values)
        return Statement(
            sql.Composed([sql.SQL(data.query.rstrip().removesuffix(";"))]),
            {name: _parameter(value) for name, value in given.items()},
        )
    table = sql.Identifier(*full_name(data.table).split("."))
    parameters: dict[str, Any] = {}
    where = _where(data.query.where, values, parameters)
    if data.operation == "select":
        return Statement(_select(table, data.query, where), parameters)
    if data.operation == "delete":
        query = sql.SQL("DELETE FROM {} AS this WHERE {}").format(table, where)
        return Statement(query, parameters)
    parameters["values"] = json.dumps(filled_in(data.query.values, values))
    names = list(data.query.values)
    query = _insert(table, names) if data.operation == "insert" else _update(table, names, where)
    return Statement(query, parameters)


def checked_alone(query: sql.Composable) -> sql.Composed:
    """Return a statement that succeeds only if the query is one whole statement: then it stays
    within the parentheses of `measured`, whatever it is."""
    return sql.SQL("EXPLAIN (COSTS OFF) {}").format(query)


def measured(query: sql.Composable) -> sql.Composed:
    """Return a select of the query's rows as JSON texts, one more than MOST_ROWS at most, and null
    for those beyond MOST_BYTES in all: PostgreSQL sends no more, however large they are."""
    return sql.SQL(
        "SELECT CASE WHEN bytes <= {most} THEN document END FROM ("
        " SELECT document, sum(octet_length(document) + 1) OVER (ROWS UNBOUNDED PRECEDING) AS bytes"
        " FROM (SELECT to_json(given.*)::text AS document FROM (\n{query}\n) AS given LIMIT {rows})"
        " AS documents) AS measured"
    ).format(most=sql.Literal(MOST_BYTES), query=query, rows=sql.Literal(_ROWS))


def _select(table: sql.Identifier, query: Query, where: sql.Composable) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, query.columns))
    order = sql.SQL(", ").join(
        sql.SQL("{} DESC" if name.startswith("-") else "{}").format(
            sql.Identifier(name.removeprefix("-"))
        )
        for name in query.order_by
    )
    # Without a limit of the author's, more than MOST_ROWS are an error and not left out.
    limit = query.limit if "limit" in query.model_fields_set else _ROWS
    return sql.SQL(
        "SELECT {columns} FROM {table} AS this WHERE {where}{order} LIMIT {limit}"
    ).format(
        columns=columns if query.columns else sql.SQL("*"),
        table=table,
        where=where,
        order=sql.SQL(" ORDER BY {}").format(order) if query.order_by else sql.SQL(""),
        limit=sql.Literal(limit),
    )


def _insert(table: sql.Identifier, names: list[str]) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {columns}"
        " FROM jsonb_populate_record(NULL::{table}, %(values)s::jsonb)"
    ).format(table=table, columns=columns)


def _update(table: sql.Identifier, names: list[str], where: sql.Composable) -> sql.Composed:
    assigned = sql.SQL(", ").join(
        sql.SQL("{0} = given.{0}").format(sql.Identifier(name)) for name in names
    )
    return sql.SQL(
        "UPDATE {table} AS this SET {assigned}"
        " FROM jsonb_populate_record(NULL::{table}, %(values)s::jsonb) AS given WHERE {where}"
    ).format(table=table, assigned=assigned, where=where)


def _where(
    where: Mapping[str, Any], values: Mapping[str, Any], parameters: dict[str, Any]
) -> sql.Composable:
    """Return the condition, and put its values into `parameters`."""
    conditions = []
    for number, (name, given) in enumerate(where.items()):
        value = filled_in(given, values)
        if value is None and given is not None:
            # Null would choose the rows without a value: not what the author meant to find.
            raise Invalid(
                filled(_("The expression for {column} finds nothing."), column=name),
                code="where_missing",
            )
        column = sql.SQL("this.{}").format(sql.Identifier(name))
        conditions.append(_condition(column, value, f"where_{number}", parameters))
    return sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true")


def _condition(
    column: sql.Composed, value: Any, name: str, parameters: dict[str, Any]
) -> sql.Composable:
    if value is None:
        return sql.SQL("{} IS NULL").format(column)
    if not isinstance(value, list):
        parameters[name] = _parameter(value)
        return sql.SQL("{} = {}").format(column, sql.Placeholder(name))
    # As an array it would need the column's type.
    choices = {f"{name}_{number}": _parameter(one) for number, one in enumerate(value)}
    parameters.update(choices)
    if not choices:
        return sql.SQL("false")
    return sql.SQL("{} IN ({})").format(column, sql.SQL(", ").join(map(sql.Placeholder, choices)))


def _parameter(value: Any) -> Any:
    """Return the value as a parameter whose type PostgreSQL finds out: a text, null, or a list for
    an array. Objects, and lists with something else than plain values in them, are JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return [_parameter(one) for one in value]
    return json.dumps(value)
