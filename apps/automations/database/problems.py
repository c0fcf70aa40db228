"""What is wrong with a `database` node, by its data and by the settings. Asked when a definition is
checked, and again when the node runs: the settings may have changed."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from django.conf import settings

from apps.automations.database.tables import access_to
from apps.automations.expressions.templates import is_template
from apps.common.language import filled
from apps.common.language import lazy as _

#: Members of a query that each operation takes.
TAKES: dict[str, tuple[str, ...]] = {
    "select": ("where", "columns", "order_by", "limit"),
    "insert": ("values",),
    "update": ("where", "values"),
    "delete": ("where",),
}
#: Members of a query without which an operation is refused.
NEEDS: dict[str, tuple[str, ...]] = {
    "insert": ("values",),
    "update": ("where", "values"),
    "delete": ("where",),
}
#: A percent sign itself, a parameter with its name, or what is neither.
_PERCENT = re.compile(r"%%|%\((?P<name>[a-z_][a-z0-9_]{0,62})\)s|%")


class Problem(NamedTuple):
    """A stable code, where it is in the node's data, and the texts for people."""

    code: str
    path: tuple[str | int, ...]
    detail: str
    hint: str = ""


def problems_of(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong beside the shape of the data, which may be wrong as well."""
    operation, table, query = data.get("operation"), data.get("table"), data.get("query", {})
    if not settings.AUTOMATIONS_DATABASE_URL:
        yield Problem(
            "database_not_configured",
            (),
            _("No database is set up for automations."),
            _("An operator sets AUTOMATIONS_DATABASE_URL and AUTOMATIONS_TABLES."),
        )
    elif isinstance(table, str):
        yield from _of_table(table, reads=operation == "select")
    if isinstance(query, str):
        yield from _of_text(query, operation, data.get("parameters", {}))
    elif isinstance(query, dict) and isinstance(operation, str):
        yield from _of_query(query, operation)
        if data.get("parameters"):
            yield Problem(
                "query_not_allowed",
                ("parameters",),
                _("Parameters are for a query that is written as a text."),
            )


def _of_table(table: str, *, reads: bool) -> Iterator[Problem]:
    access = access_to(table)
    if not access:
        yield Problem(
            "table_not_allowed",
            ("table",),
            filled(_("Automations may not use the table {table}."), table=table[:130]),
            _("An operator lists the tables in AUTOMATIONS_TABLES."),
        )
    elif access == "r" and not reads:
        yield Problem(
            "table_read_only",
            ("table",),
            filled(_("Automations may only read the table {table}."), table=table[:130]),
        )


def _of_text(text: str, operation: Any, parameters: Any) -> Iterator[Problem]:
    if operation != "select":
        yield Problem(
            "query_not_allowed",
            ("query",),
            _("Only a select may be written as a text."),
            _("Write the query as an object with where and values."),
        )
    if is_template(text):
        yield Problem(
            "expression_not_allowed",
            ("query",),
            _("A query that is written as a text has no expressions."),
            _("Write %(name)s in the query, and the expression in parameters."),
        )
    signs = list(_PERCENT.finditer(text))
    if any(sign[0] == "%" for sign in signs):
        yield Problem(
            "query_not_allowed",
            ("query",),
            _("A percent sign in a query begins a parameter: %(name)s."),
            _("Write %% for a percent sign itself."),
        )
    known = parameters if isinstance(parameters, dict) else {}
    for name in sorted({sign["name"] for sign in signs if sign["name"]} - set(known)):
        yield Problem(
            "unknown_parameter",
            ("query",),
            filled(_("The query names a parameter {name}; there is none."), name=name),
        )


def _of_query(query: dict[str, Any], operation: str) -> Iterator[Problem]:
    for name in NEEDS.get(operation, ()):
        if not query.get(name):
            yield Problem(
                f"{name}_missing",
                ("query",),
                filled(_("{operation} needs {name}."), operation=operation, name=name),
                _("Without it every row would be changed.") if name == "where" else "",
            )
    known = {name for names in TAKES.values() for name in names}
    for name, given in query.items():
        if given and name in known and name not in TAKES.get(operation, known):
            yield Problem(
                "query_not_allowed",
                ("query", name),
                filled(_("{operation} takes no {name}."), operation=operation, name=name),
            )
