"""Figures of the newest rows only: an exact count of a large table is slow."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet


def grouped(
    rows: "QuerySet[Any]",
    columns: str,
    *,
    by: Sequence[str],
    figures: str,
    values: Sequence[Any] = (),
) -> list[tuple[Any, ...]]:
    """Return a tuple for each group of the sliced rows: what they are grouped by, then the figures.

    `rows` is a `values_list` whose columns are called `columns` in the SQL of `by` and `figures`;
    `values` are for the places in that SQL. One query. The caller bounds the rows.
    """
    try:
        inner, given = rows.query.sql_with_params()
    except EmptyResultSet:
        return []
    places = ", ".join(str(number) for number in range(1, len(by) + 1))
    # No text of a user is in it: columns and figures are literals, values have their places.
    statement = (
        f"SELECT {', '.join(by)}, {figures} FROM ({inner}) AS newest({columns}) GROUP BY {places}"  # noqa: S608
    )
    with connections[rows.db].cursor() as cursor:
        cursor.execute(statement, [*values, *given])
        return cursor.fetchall()
