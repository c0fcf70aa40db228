"""The role of `database` nodes on the test's own PostgreSQL, with tables that it may use, may read,
and must not reach."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connection
from django.test import override_settings

from apps.automations.database.role import role_name
from apps.automations.nodes.call import Call
from apps.automations.nodes.database import run
from apps.automations.secrets import Secrets

TABLES = {"public.node_orders": "rw", "public.node_prices": "r"}
HIDDEN = "what nobody may read"
_MADE = f"""
CREATE TABLE node_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text UNIQUE,
    amount numeric(30, 6) CHECK (amount > 0), at timestamptz, ref uuid, extra jsonb, tags text[],
    share float8, file bytea, big bigint);
CREATE TABLE node_prices (code text, price numeric);
CREATE TABLE node_hidden (id serial, secret text);
INSERT INTO node_hidden (secret) VALUES ('{HIDDEN}');
"""
_GONE = "DROP TABLE IF EXISTS node_orders, node_prices, node_hidden"


def address(user: str) -> str:
    """Return the address of the test's database, for a user."""
    parts = connection.settings_dict
    return f"postgres://{user}@{parts['HOST']}:{parts['PORT']}/{parts['NAME']}"


def superuser() -> "psycopg.Connection[Any]":
    """Return a connection that commits by itself, beside Django's."""
    return psycopg.connect(address(str(connection.settings_dict["USER"])), autocommit=True)


def do(statement: str) -> None:
    """Run statements as the superuser."""
    with superuser() as admin:
        admin.execute(statement)


def asked(query: str) -> list[Any]:
    """Return the first column of what the superuser finds."""
    with superuser() as admin:
        return [row[0] for row in admin.execute(query)]


@contextmanager
def restricted_role() -> Iterator[None]:
    """The role with its rights, made as an operator makes it; roles belong to the whole server, so
    its name is that of this database."""
    url = address(f"automations_{connection.settings_dict['NAME']}")
    do(_GONE)
    do(_MADE)
    with override_settings(AUTOMATIONS_DATABASE_URL=url, AUTOMATIONS_TABLES=TABLES):
        call_command("automationsrole", apply=True, verbosity=0)
        try:
            yield
        finally:
            do(f'DROP OWNED BY "{role_name()}"; DROP ROLE "{role_name()}"; {_GONE}')


def call(
    operation: str = "select",
    table: str = "node_orders",
    query: Any = None,
    *,
    key: str = "execution:node",
    seconds: float = 30.0,
    stopped: Event | None = None,
    inputs: Any = None,
    **more: Any,
) -> Any:
    """Run a node once; return its output."""
    data = {"operation": operation, "table": table, **more}
    if query is not None:
        data["query"] = query
    values = {"inputs": inputs, "nodes": {}, "params": {}}
    is_set = stopped.is_set if stopped else (lambda: False)
    return run(Call(data, values, key, seconds, Secrets(), is_set))


def select(text: str, **more: Any) -> list[dict[str, Any]]:
    """Run a select that is written as a text; return its rows."""
    rows: list[dict[str, Any]] = call("select", query=text, **more)["rows"]
    return rows
