"""Queries that are compiled once a process and then run with other values.

Django makes the SQL of a query anew whenever it runs: half a millisecond for a plain one, two for
one with subqueries, often more than the database needs to answer. That is worth sparing where a
query runs on every page, or many run on one.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import BooleanField, Expression, F, Func, Model, Q, QuerySet

M = TypeVar("M", bound=Model)

#: Of these types any value gives the same SQL.
_VALUES = (str, int, UUID, datetime)


class Slot(Expression):
    """The place of a value in a query that is compiled once. The value goes to the database as it
    is: no field converts it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return the place, with the slot itself for the value."""
        return "%s", [self]


def any_of(column: str, slot: Slot) -> Q:
    """Return the condition that the column is one of the slot's value, a list of any length."""
    return Q(
        Func(
            F(column),
            slot,
            template="%(expressions)s)",
            arg_joiner=" = ANY(",
            output_field=BooleanField(),
        )
    )


@dataclass(frozen=True)
class Asked(Generic[M]):
    """A query with its values. `made_of` makes what it finds of the database's rows."""

    sql: str
    params: tuple[Any, ...]
    made_of: "Callable[[list[tuple[Any, ...]]], list[M]]"


def answers(asked: "Sequence[Asked[Any]]") -> list[list[Any]]:
    """Return what each query finds. All of them are sent before the first answer is read, so that
    the database works meanwhile, and none waits for the way there and back.

    If one fails, its error is raised and the others have no answer.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    with ExitStack() as stack:
        if len(asked) > 1:
            connection.ensure_connection()
            stack.enter_context(connection.wrap_database_errors)
            stack.enter_context(connection.connection.pipeline())
        cursors = [stack.enter_context(connection.cursor()) for _ in asked]
        for cursor, one in zip(cursors, asked, strict=True):
            cursor.execute(one.sql, one.params)
        found = [cursor.fetchall() for cursor in cursors]
    return [one.made_of(rows) if rows else [] for one, rows in zip(asked, found, strict=True)]


class Compiled(Generic[M]):
    """A query that `build` makes of slots, named as its parameters. It is compiled when it first
    runs; `build` must then not depend on anything but its parameters."""

    def __init__(self, build: Callable[..., "QuerySet[M]"]) -> None:
        self._build = build
        self._ready: _Statement | None = None

    def rows(self, **values: Any) -> "list[M]":
        """Return what the query finds with these values for its slots."""
        asked = self.asked(**values)
        return answers([asked])[0] if asked else []

    def asked(self, **values: Any) -> "Asked[M] | None":
        """Return the query with these values, for `answers`; None if no row can match."""
        ready = self._prepared(values)
        return Asked(ready.sql, ready.filled(values), ready.made_of) if ready.sql else None

    def count(self, **values: Any) -> int:
        """Return how many rows the query finds with these values."""
        ready = self._prepared(values)
        if not ready.sql:
            return 0
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({ready.sql}) rows", ready.filled(values))  # noqa: S608 - values are parameters
            return int(cursor.fetchone()[0])

    def _prepared(self, values: dict[str, Any]) -> "_Statement":
        if self._ready is None:
            self._ready = _Statement(self._build(**{name: Slot(name) for name in values}))
        return self._ready


class _Statement:
    """A queryset, its compiler, and the SQL that this made; no SQL: no row can match."""

    def __init__(self, queryset: "QuerySet[Any]") -> None:
        self.queryset = queryset
        self.compiler: Any = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        try:
            self.sql, self._params = self.compiler.as_sql()
        except EmptyResultSet:
            self.sql, self._params = "", ()

    def made_of(self, rows: list[tuple[Any, ...]]) -> list[Any]:
        """Return what the queryset makes of these rows of the database."""
        found: Any = self.queryset.all()
        compiler = copy(self.compiler)
        compiler.connection = connections[DEFAULT_DB_ALIAS]
        compiler.execute_sql = lambda *args, **kwargs: [rows]
        found.query.get_compiler = lambda *args, **kwargs: compiler
        return list(found)

    def filled(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """Return the parameters with these values in the slots."""
        return tuple(values[one.name] if isinstance(one, Slot) else one for one in self._params)


# --- conditions that differ in their values only --------------------------------------------------
@dataclass(frozen=True)
class Shape:
    """A condition without its values. Conditions of one shape have the same SQL.

    A part is a shape, or a lookup with its constant; without one (`None, True`) the lookup has a
    slot.
    """

    connector: str
    negated: bool
    parts: "tuple[Shape | tuple[str, Any, bool], ...]"

    def condition(self, slots: "list[Slot]") -> Q:
        """Return the condition with the next of these slots for each of its values."""
        children = [
            part.condition(slots)
            if isinstance(part, Shape)
            else (part[0], slots.pop(0) if part[2] else part[1])
            for part in self.parts
        ]
        condition = Q(*children, _connector=self.connector)
        return ~condition if self.negated else condition


def shape_of(condition: Q) -> "tuple[Shape, list[Any]]":
    """Return the shape of a condition and its values, in the order of its slots.

    The condition is made of lookups alone. What is no text, number, id or time stays in the shape:
    it may change the SQL, as None does.
    """
    parts: list[Shape | tuple[str, Any, bool]] = []
    values: list[Any] = []
    children: list[Any] = condition.children
    for child in children:
        if isinstance(child, Q):
            shape, inner = shape_of(child)
            parts.append(shape)
            values += inner
            continue
        lookup, value = child
        if isinstance(value, _VALUES) and not isinstance(value, bool):
            parts.append((lookup, None, True))
            values.append(value)
        else:
            parts.append((lookup, tuple(value) if isinstance(value, list) else value, False))
    return Shape(condition.connector, condition.negated, tuple(parts)), values
