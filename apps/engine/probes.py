"""Probes whether the servers we need answer, each within a deadline of two seconds.

`/ready` of the web process and of workers use them. A server that hangs (SIGSTOP, a dead network)
accepts connections and never answers, so no probe uses the connection pool or the ORM.
"""

import selectors
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import conninfo, pq
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from apps.engine.client import shared_client
from apps.engine.models import ProcessHeartbeat

#: The deadline of each probe; `/ready` answers within 5 s.
DEADLINE_SECONDS = 2.0
#: A process that has not beaten for this long counts as absent; processes beat every 2 s.
ALIVE_SECONDS = 10


class ProbeFailed(Exception):
    """`name` is what does not respond (postgres, redis, temporal, relay, worker), `error` says
    why."""

    def __init__(self, name: str, error: str) -> None:
        super().__init__(f"{name}: {error}")
        self.name = name
        self.error = error

    @property
    def kind(self) -> str:
        """Return the class of the error, for readers who may not know addresses and versions."""
        return type(self.__cause__ or self).__name__


# --- the probes ---------------------------------------------------------------------------------
def postgres() -> None:
    """Connect and query. Raises ProbeFailed("postgres", …)."""
    _query("postgres", "SELECT 1")


def redis() -> None:
    """Send PING on a new connection. Raises ProbeFailed("redis", …)."""
    link = Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=DEADLINE_SECONDS / 2,
        socket_connect_timeout=DEADLINE_SECONDS / 2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        link.ping()
    except Exception as error:
        raise ProbeFailed("redis", _said(error)) from error
    finally:
        link.close()


def temporal() -> None:
    """Have the server describe the namespace. Raises ProbeFailed("temporal", …)."""
    try:
        shared_client.ask(_describe_namespace, seconds=DEADLINE_SECONDS)
    except TimeoutError as error:
        raise ProbeFailed("temporal", f"no answer within {DEADLINE_SECONDS:g} s") from error
    except Exception as error:
        raise ProbeFailed("temporal", _said(error)) from error


async def _describe_namespace(client: Client) -> None:
    await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace),
        timeout=timedelta(seconds=DEADLINE_SECONDS),
    )


def relay() -> None:
    """Check that a relay is alive and one leads. Raises ProbeFailed("relay", …)."""
    alive, leading = _beats("relay")
    if not alive:
        raise ProbeFailed("relay", f"no relay has been alive for {ALIVE_SECONDS} s")
    if not leading:
        raise ProbeFailed("relay", "no relay leads")


def worker() -> None:
    """Check that a worker is alive. Raises ProbeFailed("worker", …)."""
    alive, _ = _beats("worker")
    if not alive:
        raise ProbeFailed("worker", f"no worker has been alive for {ALIVE_SECONDS} s")


def polled(queue: str) -> None:
    """Check that a worker that serves the queue is alive. Raises ProbeFailed("worker", …)."""
    alive, _ = _beats("worker", f"AND '{queue}' = ANY (queues)")
    if not alive:
        raise ProbeFailed("worker", f"no worker has served {queue} for {ALIVE_SECONDS} s")


#: In the order in which a failure is reported: an earlier failure causes the later ones.
PROBES: dict[str, Callable[[], None]] = {
    "postgres": postgres,
    "redis": redis,
    "temporal": temporal,
    "relay": relay,
    "worker": worker,
}


# --- readiness ----------------------------------------------------------------------------------
class Readiness:
    """Runs the probes concurrently; callers that come meanwhile share the running round."""

    def __init__(self, names: Sequence[str], **more: Callable[[], None]) -> None:
        """`names`: of PROBES; `more`: further probes by name."""
        self._probes = {name: PROBES[name] for name in names} | more
        self._lock = threading.Lock()
        self._round: Future[ProbeFailed | None] | None = None
        # Extra threads for probes of the last round that still wait for a name server.
        self._threads = ThreadPoolExecutor(
            max_workers=2 * len(self._probes) + 2, thread_name_prefix="probe"
        )

    def start(self) -> "Future[ProbeFailed | None]":
        """Return the running round, or start one; its result is the first failure in order, or
        None.

        A result is never reused after its round, so that a server that has stopped is noticed.
        """
        with self._lock:
            if self._round is None or self._round.done():
                self._round = self._threads.submit(self._ask)
            return self._round

    def check(self) -> ProbeFailed | None:
        """As `start`, but wait for the result: at most a little longer than one deadline."""
        return self.start().result()

    def _ask(self) -> ProbeFailed | None:
        deadline = time.monotonic() + DEADLINE_SECONDS + 0.5
        asked = [(name, self._threads.submit(probe)) for name, probe in self._probes.items()]
        failures = [self._failure(name, probe, deadline) for name, probe in asked]
        return next((failure for failure in failures if failure is not None), None)

    def _failure(self, name: str, probe: "Future[None]", deadline: float) -> ProbeFailed | None:
        try:
            probe.result(max(0.0, deadline - time.monotonic()))
        except ProbeFailed as failure:
            return failure
        except FutureTimeout as error:
            failed = ProbeFailed(name, f"no answer within {DEADLINE_SECONDS:g} s")
            failed.__cause__ = error
            return failed
        except Exception as error:
            failed = ProbeFailed(name, _said(error))
            failed.__cause__ = error
            return failed
        return None


# --- PostgreSQL, without calls that could hang --------------------------------------------------
def _beats(role: str, more: str = "") -> tuple[int, int]:
    table = ProcessHeartbeat._meta.db_table
    # The database's clock would avoid skew in this comparison, but beats are written by the clocks
    # of the processes; ten seconds allow for the difference.
    row = _query(
        role,
        f'SELECT count(*), count(*) FILTER (WHERE "leading") FROM {table} '  # noqa: S608
        f"WHERE role = '{role}' AND beat_at > now() - interval '{ALIVE_SECONDS} seconds' {more}",
    )
    return int(row[0]), int(row[1])


def _query(probe: str, statement: str) -> list[bytes]:
    """Return the first row, by libpq's non-blocking calls: psycopg would wait without limit."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    link = pq.PGconn.connect_start(_conninfo().encode())
    try:
        with selectors.DefaultSelector() as selector:
            _connect(link, selector, deadline)
            link.nonblocking = 1
            link.send_query(statement.encode())
            while link.flush():
                _wait(link, selector, selectors.EVENT_WRITE, deadline)
            while link.is_busy():
                _wait(link, selector, selectors.EVENT_READ, deadline)
                link.consume_input()
            result = link.get_result()
            if result is None or result.status != pq.ExecStatus.TUPLES_OK:
                said = result.get_error_message() if result is not None else "no result"
                raise ProbeFailed(probe, said)
            return [result.get_value(0, column) or b"" for column in range(result.nfields)]
    except TimeoutError as error:
        raise ProbeFailed(probe, f"no answer within {DEADLINE_SECONDS:g} s") from error
    except (OSError, ValueError) as error:
        raise ProbeFailed(probe, _said(error)) from error
    except ConnectionRefused as error:
        raise ProbeFailed(probe, str(error)) from error
    finally:
        link.finish()


class ConnectionRefused(Exception):
    """libpq could not connect; the text is its own."""


def _connect(link: Any, selector: selectors.BaseSelector, deadline: float) -> None:
    while True:
        if link.status == pq.ConnStatus.BAD:
            raise ConnectionRefused(_line(link.get_error_message()))
        status = link.connect_poll()
        if status == pq.PollingStatus.OK:
            return
        if status == pq.PollingStatus.FAILED:
            raise ConnectionRefused(_line(link.get_error_message()))
        reading = status == pq.PollingStatus.READING
        event = selectors.EVENT_READ if reading else selectors.EVENT_WRITE
        _wait(link, selector, event, deadline)


def _wait(link: Any, selector: selectors.BaseSelector, event: int, deadline: float) -> None:
    # Register anew each time: libpq may change its socket between two hosts or TLS attempts.
    selector.register(link.socket, event)
    try:
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
    finally:
        selector.unregister(link.socket)


def _conninfo() -> str:
    """Return Django's connection parameters, without those that only its pool and cursors
    understand."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    params = connections["default"].get_connection_params()
    plain = {key: value for key, value in params.items() if key in known and value is not None}
    return conninfo.make_conninfo("", **{**plain, "application_name": "countersign-probe"})


def _said(error: BaseException) -> str:
    return _line(f"{type(error).__name__}: {error}")


def _line(text: str) -> str:
    return " ".join(str(text).split())[:300]
