"""The `database` node on a real PostgreSQL, as a real login role with real rights."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.automations.database import rights
from apps.automations.database.role import role_name
from apps.automations.models import Write
from apps.automations.nodes import database
from apps.automations.services.writes import KEPT, writes_forget
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
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)
BAD = "'; DROP TABLE node_orders; --"


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
    return caught.value


# --- what it does ---------------------------------------------------------------------------------
def test_rows_are_written_found_changed_and_deleted() -> None:
    ref = "0189d9f0-0000-7000-8000-000000000000"
    values = {
        "code": "A'\"; --",
        "amount": 10.5,
        "at": "2026-01-31T10:00:00+03:00",
        "ref": ref,
        "extra": {"a": [1, None, "é"]},
        "tags": ["x", 'y"z'],
        "share": 0.1,
        "file": "\\x00ff",
        "big": 2**63 - 1,
    }
    assert call("insert", query={"values": values}, key="1") == {"count": 1}
    row = {"id": 1, **values, "at": "2026-01-31T07:00:00+00:00"}
    assert call() == {"rows": [row]}
    found = {"where": {"code": "{{ inputs.code }}", "extra": values["extra"], "id": [5, 1]}}
    assert call(query=found, inputs=values) == {"rows": [row]}
    changed = {"values": {"tags": None, "amount": "{{ inputs }}"}, "where": {"ref": ref}}
    assert call("update", query=changed, inputs=7, key="2") == {"count": 1}
    columns = {"columns": ["amount", "tags"], "where": {"tags": None}}
    assert call(query=columns) == {"rows": [{"amount": 7, "tags": None}]}
    assert call("delete", query={"where": {"code": ["B"]}}, key="3") == {"count": 0}
    assert call("delete", query={"where": {"code": []}}, key="4") == {"count": 0}
    assert call("delete", query={"where": {"id": 1}}, key="5") == {"count": 1}
    assert call() == {"rows": []}


def test_rows_come_in_the_order_and_number_that_are_asked_for() -> None:
    do("INSERT INTO node_prices SELECT 'p' || n % 3, n FROM generate_series(1, 9) AS n")
    query = {"order_by": ["code", "-price"], "columns": ["price"], "limit": 4}
    rows = call(table="node_prices", query=query)["rows"]
    assert [row["price"] for row in rows] == [9, 6, 3, 7]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1::int8", 1),
        ("9007199254740993::int8", 9007199254740993),
        ("10.50::numeric", 10.5),
        ("0.1::numeric", 0.1),
        ("0.30000000000000004::float8", 0.30000000000000004),
        ("1e300::float8", 1e300),
        ("12345678901234567.89::numeric", "12345678901234567.89"),
        ("0.1234567890123456789::numeric", "0.1234567890123456789"),
        ("123456789012345678901234567890::numeric", 123456789012345678901234567890),
        ("'NaN'::float8", "NaN"),
        ("'-Infinity'::numeric", "-Infinity"),
        ("'infinity'::timestamptz", "infinity"),
        ("timestamptz '2026-01-31 10:00+03'", "2026-01-31T07:00:00+00:00"),
        ("date '2026-01-31'", "2026-01-31"),
        ("interval '1 day 2 hours'", "P1DT2H"),
        ("'\\x00ff'::bytea", "\\x00ff"),
        ("null::int", None),
        ("true", True),
        ("ARRAY[1, NULL]", [1, None]),
        ("'{\"a\": 1.10}'::json", {"a": 1.1}),
        ("ROW(1, 'a')", {"f1": 1, "f2": "a"}),
    ],
)
def test_values_become_json_without_losing_a_digit(written: str, read: Any) -> None:
    assert select(f"SELECT {written} AS given") == [{"given": read}]


@pytest.mark.parametrize(
    ("text", "parameters", "expected"),
    [
        ("SELECT %(x)s + 1 AS n", {"x": 1}, 2),
        ("SELECT %(x)s::numeric AS n", {"x": 0.1}, 0.1),
        (
            "SELECT %(x)s AS n",
            {"x": "'; DROP TABLE node_orders; --"},
            "'; DROP TABLE node_orders; --",
        ),
        ("SELECT %(x)s::bool AS n", {"x": True}, True),
        ("SELECT %(x)s::int IS NULL AS n", {"x": None}, True),
        ("SELECT 2 = ANY(%(x)s) AS n", {"x": [1, 2]}, True),
        ("SELECT %(x)s::jsonb -> 'a' AS n", {"x": {"a": [{"b": 1}]}}, [{"b": 1}]),
        ("SELECT %(x)s || '%%' AS n;", {"x": "{{ inputs.code }}"}, "A%"),
        ("VALUES (1) -- and nothing else", {}, 1),
    ],
)
def test_a_select_in_words_takes_named_parameters(
    text: str, parameters: dict[str, Any], expected: Any
) -> None:
    (row,) = select(text, parameters=parameters, inputs={"code": "A"})
    assert list(row.values()) == [expected]


# --- once -----------------------------------------------------------------------------------------
def test_a_second_try_of_a_key_returns_the_first_answer_and_writes_nothing() -> None:
    insert = {"values": {"code": "A"}}
    assert call("insert", query=insert) == {"count": 1}
    assert call("insert", query=insert) == {"count": 1}
    assert refused("insert", query=insert, key="another").code == "database_refused"
    assert asked("SELECT code FROM node_orders") == ["A"]
    assert dict(Write.objects.values_list("key", "count")) == {"execution:node": 1}


def test_two_tries_at_once_write_once() -> None:
    with superuser() as admin, ThreadPoolExecutor(4) as pool:
        # Both are at work until this ends.
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE node_prices, node_orders")
        tries = [pool.submit(call, "insert", query={"values": {"code": "A"}}) for _ in range(4)]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: asked(f"{waiting} AND usename = '{role_name()}'") == [4])
        admin.execute("COMMIT")
        assert [one.result() for one in tries] == [{"count": 1}] * 4
    assert asked("SELECT code FROM node_orders") == ["A"]


def test_a_write_that_is_refused_leaves_nothing_and_can_be_tried_again() -> None:
    do("INSERT INTO node_orders (code) VALUES ('A')")
    assert refused("insert", query={"values": {"code": "A"}}).code == "database_refused"
    assert Write.objects.count() == 0
    do("DELETE FROM node_orders")
    assert call("insert", query={"values": {"code": "A"}}) == {"count": 1}


def test_writes_are_forgotten_after_a_year() -> None:
    now = timezone.now()
    for key, age in (("old", KEPT + timedelta(seconds=1)), ("new", KEPT - timedelta(hours=1))):
        Write.objects.create(key=key, at=now - age)
    assert writes_forget(now=now) == 1
    assert writes_forget(now=now) == 0
    assert Write.objects.get().key == "new"


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("operation", "table", "query", "code"),
    [
        ("select", "node_hidden", {}, "table_not_allowed"),
        ("select", "automations_write", {}, "table_not_allowed"),
        ("insert", "node_prices", {"values": {"code": "x"}}, "table_read_only"),
        ("delete", "node_orders", {"where": {}}, "where_missing"),
        ("update", "node_orders", {"values": {"code": "x"}}, "where_missing"),
        ("delete", "node_orders", {"where": {"code": "{{ inputs.nothing }}"}}, "where_missing"),
        ("select", "node_orders", {"where": {"code": "{{ inputs.nothing }}"}}, "where_missing"),
        ("delete", "node_orders", "DELETE FROM node_orders", "query_not_allowed"),
        ("select", "node_orders", {"columns": ["nowhere"]}, "database_refused"),
        ("select", "node_orders", {"where": {"id": "seven"}}, "database_refused"),
        ("select", "node_orders", {"where": {"code": "a\0b"}}, "database_refused"),
        ("select", "node_orders", {"where": {"code": "\ud800"}}, "invalid_text"),
        ("insert", "node_orders", {"values": {"code": "a\0b"}}, "database_refused"),
        ("insert", "node_orders", {"values": {"amount": -1}}, "database_refused"),
        ("insert", "node_orders", {"values": {"at": "yesterday-ish"}}, "database_refused"),
        ("insert", "node_orders", {"values": {"nowhere": 1}}, "database_refused"),
        ("insert", "node_orders", {"values": {"id": 1}}, "database_refused"),
        ("select", "node_orders", "SELECT 1 AS a, 2 AS a", "value_not_json"),
        ("select", "node_orders", "SELECT 1/0", "database_refused"),
    ],
)
def test_what_cannot_be_done_has_a_code(operation: str, table: str, query: Any, code: str) -> None:
    error = refused(operation, table, query, inputs={})
    assert (error.code, isinstance(error, Unavailable)) == (code, False)
    assert asked("SELECT count(*) FROM node_orders") == [0]
    assert Write.objects.count() == 0


def test_a_refusal_names_the_state_and_not_the_row() -> None:
    do("INSERT INTO node_orders (code) VALUES ('A secret code')")
    error = refused("insert", query={"values": {"code": "A secret code"}})
    assert "23505" in error.detail
    assert "secret" not in error.detail


def test_the_settings_are_asked_again_when_it_runs(settings: Any) -> None:
    settings.AUTOMATIONS_TABLES = {"public.node_orders": "r"}
    assert refused("insert", query={"values": {"code": "x"}}).code == "table_read_only"
    settings.AUTOMATIONS_DATABASE_URL = ""
    assert refused().code == "database_not_configured"


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
    ("CREATE TEMP TABLE node_made AS SELECT 1", "database_not_permitted"),
    ("SELECT 1 INTO TEMP node_made", "database_not_permitted"),
    ("DECLARE c CURSOR FOR SELECT 1", "database_refused"),
    ("INSERT INTO node_orders (code) VALUES ('x')", "database_refused"),
    (
        "WITH x AS (INSERT INTO node_orders (code) VALUES ('x') RETURNING id) SELECT * FROM x",
        "database_refused",
    ),
    ("SELECT * FROM node_orders FOR UPDATE", "database_refused"),
    ("ANALYZE SELECT 1", "database_refused"),
    ("EXPLAIN ANALYZE SELECT 1", "database_refused"),
    # Out of the parentheses that measure and limit it.
    ("SELECT 1) AS given) AS documents) AS measured --", "database_refused"),
    ("SELECT 1) AS given, (SELECT 2", "database_refused"),
    ("SELECT 1 /*", "database_refused"),
    ("SELECT $$1", "database_refused"),
    ("(SELECT 1", "database_refused"),
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
    (
        "SELECT query_to_xml('SELECT pg_notify(''reached'', ''x'')', true, true, '')",
        "database_not_permitted",
    ),
    ("SELECT * FROM ts_stat('SELECT secret::tsvector FROM node_hidden')", "database_not_permitted"),
    ("SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (a int)", "database_refused"),
]


@pytest.mark.parametrize(("text", "code"), HOSTILE, ids=[text[:60] for text, _ in HOSTILE])
def test_a_hostile_query_has_a_code_and_reaches_nothing(text: str, code: str) -> None:
    do("INSERT INTO node_orders (code) VALUES ('kept')")
    objects = asked("SELECT count(*) FROM pg_class")
    with superuser() as listener:
        listener.execute("LISTEN reached")
        error = refused(query=text)
        assert list(listener.notifies(timeout=0)) == []
    if error:
        assert error.code == code, error.detail
        assert HIDDEN not in str(error.detail)
    assert asked("SELECT code FROM node_orders") == ["kept"]
    assert asked("SELECT count(*) FROM pg_class") == objects
    assert asked(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND"
        " database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ) == [0]
    assert asked("SELECT count(*) FROM pg_largeobject_metadata") == [0]
    assert asked("SELECT last_value, is_called FROM node_hidden_id_seq") == [1]


def test_other_sessions_do_not_show_what_they_ask() -> None:
    with superuser() as admin:
        admin.execute("SELECT 'a secret of others'")
        rows = select(
            "SELECT query FROM pg_stat_activity WHERE usename IS DISTINCT FROM current_user"
        )
    assert rows
    assert {row["query"] for row in rows} <= {"<insufficient privilege>", None}


def test_more_rows_than_a_node_may_read_are_not_left_out_in_silence() -> None:
    thousand = "SELECT n FROM generate_series(1, {most}) AS n"
    assert len(select(thousand.format(most=1000))) == 1000
    endless = "SELECT generate_series(1, 1000000000) AS n"
    for text in (thousand.format(most=1001), endless):
        assert refused(query=text).code == "database_too_many_rows"
    do("INSERT INTO node_prices SELECT 'p', n FROM generate_series(1, 1001) AS n")
    assert refused(table="node_prices").code == "database_too_many_rows"
    assert len(call(table="node_prices", query={"limit": 1000})["rows"]) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "SELECT repeat('x', 2000000)",
        "SELECT repeat('x', 100000000)",
        "SELECT repeat('x', 2000) FROM generate_series(1, 600)",
        "SELECT array_agg(n) FROM generate_series(1, 300000) AS n",
    ],
)
def test_what_is_too_large_never_leaves_the_server(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[str | None] = []
    rows_of = database.rows_of

    def seen(documents: list[str | None]) -> Any:
        received.extend(documents)
        return rows_of(documents)

    monkeypatch.setattr(database, "rows_of", seen)
    assert refused(query=text).code == "output_too_large"
    assert sum(len(document or "") for document in received) < 1_000_000


def test_a_query_that_would_fill_the_disk_is_refused() -> None:
    do(f"ALTER ROLE \"{role_name()}\" SET temp_file_limit = '1MB'")
    try:
        text = "SELECT count(*) FROM generate_series(1, 100000000)"
        assert "53400" in refused(query=text).detail
    finally:
        do(f"ALTER ROLE \"{role_name()}\" SET temp_file_limit = '256MB'")
