"""A `database` node whose connection, server or time is gone; and the rights that it insists on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from apps.automations.database import rights
from apps.automations.database.role import role_name, statements
from apps.automations.models import Write
from apps.common.errors import DomainError, NotAllowed, Unavailable
from deploy.local.processes import free_port
from tests.automations.restricted import address, asked, call, do, restricted_role, superuser
from tests.proxy import Proxy
from tests.stack import MakeServers
from tests.support import eventually, within

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "SELECT pg_sleep(60)"
INSERT = {"values": {"code": "A"}}


@pytest.fixture(scope="module", autouse=True)
def role(django_db_setup: Any, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), restricted_role():
        yield


@pytest.fixture(autouse=True)
def empty(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "_known", {})
    do("TRUNCATE node_orders")


@pytest.fixture
def begin() -> Iterator[Callable[..., "Future[Any]"]]:
    """Run a node in a thread; return when its statement is at work."""
    with ThreadPoolExecutor(1) as pool:

        def begun(*args: Any, **kwargs: Any) -> "Future[Any]":
            future = pool.submit(call, *args, **kwargs)
            eventually(lambda: sessions("state = 'active' AND wait_event IS NOT NULL"))
            return future

        yield begun


def sessions(condition: str = "true") -> list[int]:
    """Process ids of the role's sessions."""
    return asked(
        f"SELECT pid FROM pg_stat_activity WHERE usename = '{role_name()}' AND {condition}"
    )


def refusal(future: "Future[Any]") -> DomainError:
    with pytest.raises(Unavailable) as caught:
        future.result()
    return caught.value


# --- time and connections -------------------------------------------------------------------------
def test_a_query_is_cut_off_within_two_seconds(begin: Any) -> None:
    stopped = threading.Event()
    future = begin(query=LONG, stopped=stopped)
    stopped.set()
    with within(2):
        assert refusal(future).code == "cut_off"
    eventually(lambda: not sessions())


def test_a_write_that_is_cut_off_has_not_happened(begin: Any) -> None:
    stopped = threading.Event()
    with superuser() as admin:
        admin.execute("BEGIN")
        admin.execute("LOCK TABLE node_orders")
        future = begin("insert", query=INSERT, stopped=stopped)
        stopped.set()
        assert refusal(future).code == "cut_off"
        admin.execute("COMMIT")
    eventually(lambda: not sessions())
    assert asked("SELECT count(*) FROM node_orders") == [0]
    assert Write.objects.count() == 0


@pytest.mark.parametrize(
    "text", [LONG, "SELECT set_config('statement_timeout', '0', false), pg_sleep(60)"]
)
def test_a_query_takes_no_longer_than_its_node_may(text: str) -> None:
    with within(5), pytest.raises(Unavailable) as caught:
        call(query=text, seconds=1.0)
    assert caught.value.code == "database_timeout"
    eventually(lambda: not sessions())


def test_a_session_that_is_ended_is_tried_again_later(begin: Any) -> None:
    future = begin(query=LONG)
    do(f"SELECT pg_terminate_backend({sessions()[0]})")
    assert refusal(future).code == "database_unavailable"


def test_a_server_that_is_away_is_tried_again_later(settings: Any) -> None:
    settings.AUTOMATIONS_DATABASE_URL = f"postgres://automations:s3cret@127.0.0.1:{free_port()}/x"
    with pytest.raises(Unavailable) as caught:
        call()
    assert caught.value.code == "database_unavailable"
    assert "127.0.0.1" not in caught.value.detail


def test_a_server_that_falls_silent_holds_up_nobody(
    settings: Any, make_proxy: Callable[[str], Proxy], begin: Any
) -> None:
    parts = connection.settings_dict
    proxy = make_proxy(f"{parts['HOST']}:{parts['PORT']}")
    settings.AUTOMATIONS_DATABASE_URL = address(role_name()).replace(
        f":{parts['PORT']}/", f":{proxy.port}/"
    )
    stopped = threading.Event()
    future = begin(query=LONG, stopped=stopped)
    proxy.freeze()
    stopped.set()
    with within(3):
        assert refusal(future).code == "cut_off"
    named = {"database-node"}
    eventually(lambda: named.isdisjoint(thread.name for thread in threading.enumerate()))


@pytest.mark.parametrize(
    ("state", "code", "passes"),
    [
        ("40001", "database_unavailable", True),
        ("40P01", "database_unavailable", True),
        ("55P03", "database_unavailable", True),
        ("53100", "database_unavailable", True),
        ("53400", "database_refused", False),
        ("23514", "database_refused", False),
        ("P0001", "database_refused", False),
        ("42501", "database_not_permitted", False),
    ],
)
def test_only_what_may_pass_is_tried_again(state: str, code: str, passes: bool) -> None:
    do(
        "CREATE FUNCTION node_refuses() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$;"
        " CREATE TRIGGER node_refuses BEFORE INSERT ON node_orders EXECUTE FUNCTION node_refuses()"
    )
    try:
        with pytest.raises(DomainError) as caught:
            call("insert", query=INSERT)
    finally:
        do("DROP FUNCTION node_refuses CASCADE")
    assert (caught.value.code, isinstance(caught.value, Unavailable)) == (code, passes)


# --- rights ---------------------------------------------------------------------------------------
DOOR = (
    "CREATE FUNCTION node_door() RETURNS text SECURITY DEFINER LANGUAGE sql"
    " AS 'SELECT secret FROM node_hidden'"
)
TOO_STRONG = [
    ("GRANT SELECT ON node_hidden TO {}", "REVOKE ALL ON node_hidden FROM {}", "node_hidden"),
    (
        "GRANT UPDATE (code) ON node_prices TO {}",
        "REVOKE UPDATE (code) ON node_prices FROM {}",
        "UPDATE ON public.node_prices",
    ),
    (
        "GRANT TRUNCATE ON node_orders TO {}",
        "REVOKE TRUNCATE ON node_orders FROM {}",
        "TRUNCATE ON public.node_orders",
    ),
    (
        "GRANT SELECT ON node_hidden TO PUBLIC",
        "REVOKE ALL ON node_hidden FROM PUBLIC",
        "SELECT ON public.node_hidden",
    ),
    (
        "GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) TO {}",
        "REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) FROM {}",
        "pg_try_advisory_lock(bigint)",
    ),
    (
        "GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_notify(text, text) FROM PUBLIC",
        "pg_notify(text,text)",
    ),
    ("ALTER ROLE {} SUPERUSER", "ALTER ROLE {} NOSUPERUSER", "SUPERUSER"),
    ("GRANT pg_monitor TO {}", "REVOKE pg_monitor FROM {}", "member of pg_monitor"),
    (
        "GRANT CREATE ON SCHEMA public TO {}",
        "REVOKE CREATE ON SCHEMA public FROM {}",
        "CREATE ON SCHEMA public",
    ),
    (
        "ALTER ROLE {} RESET temp_file_limit",
        "ALTER ROLE {} SET temp_file_limit = '256MB'",
        "temporary files",
    ),
    (
        "CREATE TABLE node_own (); ALTER TABLE node_own OWNER TO {}",
        "DROP TABLE node_own",
        "owner of 1 objects",
    ),
    (DOOR, "DROP FUNCTION node_door", "node_door()"),
    ("CREATE EXTENSION dblink", "DROP EXTENSION dblink", "dblink"),
]


@pytest.mark.parametrize(("given", "taken", "told"), TOO_STRONG)
def test_a_role_that_may_do_more_is_refused(given: str, taken: str, told: str) -> None:
    name = f'"{role_name()}"'
    do(given.format(name))
    try:
        with pytest.raises(NotAllowed) as caught:
            call()
    finally:
        do(taken.format(name))
    assert caught.value.code == "database_role_too_strong"
    assert told in caught.value.detail
    assert call() == {"rows": []}


def test_the_printed_sql_makes_the_role_and_has_no_password(settings: Any) -> None:
    settings.AUTOMATIONS_DATABASE_URL = address(f"{role_name()}:s3cret")
    out = StringIO()
    call_command("automationsrole", stdout=out)
    assert "s3cret" not in out.getvalue()
    do(f'GRANT ALL ON node_prices TO "{role_name()}"')
    for _time in range(2):
        do(out.getvalue())
        assert call() == {"rows": []}


def test_the_application_keeps_what_everybody_else_loses() -> None:
    database = str(connection.settings_dict["NAME"])
    other = f"application_{database}"
    do(f'CREATE ROLE "{other}"')
    try:
        with superuser() as admin:
            for statement in statements(database=database, application=other):
                admin.execute(statement)
        for function in ("pg_try_advisory_lock(bigint)", "pg_notify(text, text)"):
            may = "SELECT has_function_privilege('{}', '{}', 'EXECUTE')"
            assert asked(may.format(other, function)) == [True]
            assert asked(may.format(role_name(), function)) == [False]
    finally:
        do(f'DROP OWNED BY "{other}"; DROP ROLE "{other}"')


def test_a_table_that_is_not_there_is_named(settings: Any) -> None:
    settings.AUTOMATIONS_TABLES = {"public.nowhere": "r"}
    with pytest.raises(CommandError, match="nowhere"):
        call_command("automationsrole", apply=True, stdout=StringIO())
    settings.AUTOMATIONS_DATABASE_URL = ""
    with pytest.raises(CommandError, match="AUTOMATIONS_DATABASE_URL"):
        call_command("automationsrole", stdout=StringIO())


def test_the_servers_of_the_local_stack_have_the_role(private_servers: MakeServers) -> None:
    postgres = private_servers(migrated=True, valkey=False, temporal=False).postgres
    assert postgres is not None
    with override_settings(
        AUTOMATIONS_DATABASE_URL=postgres.automations_url,
        AUTOMATIONS_TABLES={"public.bookings_trip": "r"},
    ):
        assert isinstance(call(table="bookings_trip", query={"limit": 1})["rows"], list)
