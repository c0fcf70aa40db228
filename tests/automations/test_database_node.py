"""The `database` node on a real PostgreSQL, as a real login role with real rights."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings as django_settings

from apps.automations.database import rights
from apps.automations.database.role import role_name
from apps.automations.models import Write
from apps.common.errors import DomainError, Unavailable
from apps.engine.relay.session import LEADER_LOCK
from tests.automations.restricted import (
    HIDDEN,
    asked,
    call,
    do,
    restricted_role,
    select,
    superuser,
)
from tests.support import eventually, within

pytestmark = pytest.mark.django_db(transaction=True)
ORDER = {"code": "A", "amount": "10.50"}


@pytest.fixture(scope="module", autouse=True)
def role(django_db_setup: Any, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), restricted_role():
        yield


@pytest.fixture(autouse=True)
def empty(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "_known", {})
    do("TRUNCATE node_orders, node_prices RESTART IDENTITY")


def refused(*args: Any, **kwargs: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        call(*args, **kwargs)
    assert str(caught.value.detail)
    return caught.value


HOSTILE = [
    ("SELECT * FROM node_hidden", "database_not_permitted"),
    ("SELECT 1 FROM node_orders WHERE EXISTS (SELECT FROM node_hidden)", "database_not_permitted"),
    ("SELECT count(*) FROM accounts_user", "database_not_permitted"),
    ("SELECT rolpassword FROM pg_authid", "database_not_permitted"),
    ("SELECT nextval('node_hidden_id_seq')", "database_not_permitted"),
    # More than one statement, or none that only reads.
    ("SELECT 1; SELECT 2", "database_refused"),
    ("SELECT 1; COMMIT; INSERT INTO node_orders (code) VALUES ('x')", "database_refused"),
    ("COMMIT; SELECT 1", "database_refused"),
    ("NOTIFY reached, 'x'", "database_refused"),
    ("LISTEN reached", "database_refused"),
    ("COPY node_orders TO STDOUT", "database_refused"),
    ("COPY node_orders TO PROGRAM 'id'", "database_refused"),
    ("DO $$ BEGIN PERFORM 1; END $$", "database_refused"),
    ("SET ROLE app", "database_refused"),
    ("RESET statement_timeout", "database_refused"),
    ("LOCK TABLE node_orders", "database_refused"),
    ("CREATE TABLE node_made AS SELECT 1", "database_refused"),
    ("CREATE TEMP TABLE node_made AS SELECT 1", "database_refused"),
    ("SELECT 1 INTO TEMP node_made", "database_refused"),
    ("DECLARE c CURSOR FOR SELECT 1", "database_refused"),
    ("INSERT INTO node_orders (code) VALUES ('x')", "database_refused"),
    ("WITH x AS (INSERT INTO node_orders (code) VALUES ('x') RETURNING id) SELECT * FROM x",
     "database_refused"),
    ("SELECT * FROM node_orders FOR UPDATE", "database_refused"),
    ("ANALYZE SELECT 1", "database_refused"),
    ("EXPLAIN ANALYZE SELECT 1", "database_refused"),
    # Out of the parentheses that measure and limit it.
    ("SELECT 1) AS given) AS documents) AS measured --", "database_refused"),
    ("SELECT 1) AS given, (SELECT 2", "database_refused"),
    ("SELECT 1 /*", "database_refused"),
    ("SELECT $$1", "database_refused"),
    ("(SELECT 1", "database_refused"),
    ("", "database_refused"),
    # Another role, other rights.
    ("SELECT set_config('role', 'app', false)", "database_not_permitted"),
    ("SELECT set_config('session_authorization', 'app', false)", "database_not_permitted"),
    ("SELECT set_config('transaction_read_only', 'off', false)", "database_refused"),
    ("SELECT set_config('temp_file_limit', '-1', false)", "database_not_permitted"),
    # Locks, notifications, sessions, the log of writes.
    (f"SELECT pg_try_advisory_lock({LEADER_LOCK})", "database_not_permitted"),
    (f"SELECT pg_advisory_lock_shared({LEADER_LOCK})", "database_not_permitted"),
    (f"SELECT pg_advisory_xact_lock({LEADER_LOCK})", "database_not_permitted"),
    ("SELECT pg_try_advisory_xact_lock(1, 2)", "database_not_permitted"),
    ("SELECT pg_advisory_unlock_all()", "database_not_permitted"),
    ("SELECT pg_notify('reached', 'x')", "database_not_permitted"),
    ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "database_not_permitted"),
    ("SELECT pg_cancel_backend(pid) FROM pg_stat_activity", "database_not_permitted"),
    ("SELECT pg_logical_emit_message(false, 'x', 'x')", "database_not_permitted"),
    # Files and large objects.
    ("SELECT pg_read_file('/etc/passwd')", "database_not_permitted"),
    ("SELECT pg_ls_dir('/')", "database_not_permitted"),
    ("SELECT lo_import('/etc/passwd')", "database_not_permitted"),
    ("SELECT lo_create(0)", "database_refused"),
    ("SELECT lo_from_bytea(0, 'x')", "database_refused"),
    # SQL in a value.
    ("SELECT query_to_xml('SELECT * FROM node_hidden', true, true, '')", "database_not_permitted"),
    ("SELECT query_to_xml('NOTIFY reached', true, true, '')", "database_refused"),
    ("SELECT query_to_xml('DELETE FROM node_orders', true, true, '')", "database_refused"),
    ("SELECT query_to_xml('SELECT pg_notify(''reached'', ''x'')', true, true, '')",
     "database_not_permitted"),
    ("SELECT * FROM ts_stat('SELECT secret::tsvector FROM node_hidden')", "database_not_permitted"),
    ("SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (a int)", "database_refused"),
]


@pytest.mark.parametrize(("text", "code"), HOSTILE, ids=[text[:60] for text, _ in HOSTILE])
def test_a_hostile_query_has_a_code_and_reaches_nothing(text: str, code: str) -> None:
    do("INSERT INTO node_orders (code) VALUES ('kept')")
    objects = asked("SELECT count(*) FROM pg_class")
    with superuser() as listener:
        listener.execute("LISTEN reached")
        error = refused("select", query=text) if text else None
        assert list(listener.notifies(timeout=0)) == []
    if error:
        assert error.code == code, (error.detail)
        assert HIDDEN not in str(error.detail)
    assert asked("SELECT code FROM node_orders") == ["kept"]
    assert asked("SELECT count(*) FROM pg_class") == objects
    assert asked("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [0]
    assert asked("SELECT count(*) FROM pg_largeobject_metadata") == [0]
    assert asked("SELECT last_value, is_called FROM node_hidden_id_seq") == [1]


def test_x() -> None:
    call("insert", query={"values": {"code": "A", "amount": 10.5, "extra": {"a": [1]}, "tags": ["x", "y"], "at": "2026-01-01T00:00:00Z", "ref": "0189d9f0-0000-7000-8000-000000000000", "share": 0.1, "file": "\\x00ff", "big": 9223372036854775807}})
    print(call("select"))
    print(call("update", query={"where": {"code": "A"}, "values": {"amount": "12345678901234567890.123456"}}, key="2"))
    print(call("select", query={"where": {"code": ["A", "B"], "extra": {"a": [1]}}, "columns": ["amount"]}))
    print(select("SELECT %(a)s::int + 1 AS x, %(l)s::int[] AS l, 'a%%' AS p, 'NaN'::float8 AS n, interval '1 day' AS i, pg_sleep(0) AS v", parameters={"a": 1, "l": [1, None]}))
    print(select("SELECT id FROM node_orders WHERE id = ANY(%(ids)s)", parameters={"ids": [1, 2]}))
    print(select("SELECT usename, query FROM pg_stat_activity WHERE query <> ''"))
