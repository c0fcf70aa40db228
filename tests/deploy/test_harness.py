"""The tests' own tools do what their names say."""

import socket
from collections.abc import Callable

import psycopg
import pytest

from deploy.local.servers import Valkey
from tests.proxy import Proxy
from tests.stack import MakeServers
from tests.support import eventually, eventually_async

MakeProxy = Callable[[str], Proxy]


def ping(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 0.3) as link:
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@pytest.fixture
def valkey(private_servers: MakeServers) -> Valkey:
    return private_servers(postgres=False, temporal=False).valkey


def test_a_proxy_passes_refuses_and_passes_again(valkey: Valkey, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(f"127.0.0.1:{valkey.port}")
    assert ping(proxy.address)
    proxy.cut()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), 1)
    proxy.restore()
    assert ping(proxy.address)


def test_a_frozen_proxy_keeps_the_connection_and_passes_nothing(
    valkey: Valkey, make_proxy: MakeProxy
) -> None:
    proxy = make_proxy(f"127.0.0.1:{valkey.port}")
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        proxy.freeze()
        link.sendall(b"PING\r\n")
        link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.recv(16)
        proxy.thaw()
        link.settimeout(5)
        assert link.recv(16).startswith(b"+PONG")


def test_dropped_connections_end_and_new_ones_work(valkey: Valkey, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(f"127.0.0.1:{valkey.port}")
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as link:
        link.sendall(b"PING\r\n")
        assert link.recv(16).startswith(b"+PONG")
        proxy.drop()
        assert link.recv(16) == b""
    assert ping(proxy.address)


def test_a_frozen_server_is_silent_and_answers_after_it_thaws(
    private_servers: MakeServers,
) -> None:
    servers = private_servers(valkey=False, temporal=False)
    with servers.postgres.connect() as before:
        servers.freeze(servers.postgres)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(
                host="127.0.0.1",
                port=servers.postgres.port,
                user="app",
                dbname="postgres",
                connect_timeout=2,
            )
        servers.thaw(servers.postgres)
        assert before.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_server_comes_back_on_its_port(private_servers: MakeServers) -> None:
    servers = private_servers(postgres=False, temporal=False)
    servers.kill9(servers.valkey)
    assert not ping(f"127.0.0.1:{servers.valkey.port}")
    servers.valkey.start()
    assert ping(f"127.0.0.1:{servers.valkey.port}")


def test_eventually_says_what_it_saw_last() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"not within 0.1 s; the last try gave 0"):
        eventually(lambda: 0, timeout=0.1)
    with pytest.raises(pytest.fail.Exception, match=r"raised ZeroDivisionError: division by zero"):
        eventually(lambda: 1 / 0, timeout=0.1)


def test_eventually_returns_the_first_truthy_value() -> None:
    values = iter([0, None, "found", "later"])
    assert eventually(lambda: next(values), every=0) == "found"


async def test_eventually_async_awaits_what_it_is_given() -> None:
    values = iter([0, "found"])

    async def look() -> object:
        return next(values)

    assert await eventually_async(look, every=0) == "found"


async def test_the_session_has_a_temporal_with_this_worker_s_namespace(
    temporal_client, temporal_namespace: str
) -> None:
    assert temporal_client.namespace == temporal_namespace
    assert await temporal_client.count_workflows() is not None
