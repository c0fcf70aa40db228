"""One connection as the role of automations, for one try, which can be cut off.

The work is done in a thread of its own, so that the caller never waits for longer than it said,
whatever the server or the network does.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import psycopg
from django.conf import settings

from apps.automations.database.refusals import cut_off, refusal_of, timed_out, unavailable
from apps.common.correlation import get_logger
from apps.common.errors import DomainError
from apps.outbound.sockets import hang_up

logger = get_logger(__name__)
R = TypeVar("R")

#: The longest of any statement.
STATEMENT_SECONDS = 30.0
CONNECT_SECONDS = 5
#: How often the caller is asked whether to stop, how often a statement is cancelled, and how long
#: it may then take to end.
LOOK_SECONDS = 0.2
CANCEL_SECONDS = 0.1
GRACE_SECONDS = 1.0
#: PostgreSQL gives up at its own limit, and the caller so much later: its error says more.
LATER_SECONDS = 0.5

#: A select may change most of these with set_config, but not what `in_session` does.
_SETTINGS = """
SET statement_timeout = {milliseconds}; SET lock_timeout = 5000;
SET idle_in_transaction_session_timeout = {milliseconds};
SET client_connection_check_interval = 2000; SET search_path = public;
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'iso_8601';
SET max_parallel_workers_per_gather = 0; SET jit = off
"""


def in_session(
    work: Callable[[psycopg.Connection], R], *, seconds: float, stopped: Callable[[], bool]
) -> R:
    """Return what `work` does with a connection, which commits by itself.

    Raises Unavailable `database_unavailable`, `database_timeout` after `seconds`, and `cut_off`
    within about a second after `stopped()`; what PostgreSQL refuses as `refusal_of` says it. What
    was cut off has not happened, unless it was just done: then its result is returned.
    """
    seconds = min(seconds, STATEMENT_SECONDS)
    task = _Task(work, seconds)
    threading.Thread(target=task.run, name="database-node", daemon=True).start()
    latest = time.monotonic() + seconds + LATER_SECONDS
    too_late: DomainError = timed_out()
    try:
        while not task.done.wait(LOOK_SECONDS):
            if stopped():
                too_late = cut_off()
                break
            if time.monotonic() > latest:
                break
    finally:
        if not task.done.is_set():
            task.cancel()
    return task.result(too_late)


class _Task(Generic[R]):
    """The work of one thread, as the caller's thread sees it."""

    def __init__(self, work: Callable[[psycopg.Connection], R], seconds: float) -> None:
        self.done = threading.Event()
        self._work = work
        self._seconds = seconds
        self._cancelled = False
        self._connection: psycopg.Connection | None = None
        self._results: list[R] = []
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            with _connected(self._seconds) as connection:
                self._connection = connection
                if not self._cancelled:
                    self._results.append(self._work(connection))
        except Exception as error:
            self._error = error
        finally:
            self.done.set()

    def cancel(self) -> None:
        """Cancel whatever statement runs until the work has ended. After GRACE_SECONDS hang up:
        PostgreSQL then rolls back."""
        self._cancelled = True
        latest = time.monotonic() + GRACE_SECONDS
        while not self.done.wait(CANCEL_SECONDS):
            if self._connection is None:
                return
            with suppress(psycopg.Error, OSError):
                if time.monotonic() > latest:
                    hang_up(self._connection.fileno())
                    return
                self._connection.cancel_safe(timeout=GRACE_SECONDS / 2)

    def result(self, too_late: DomainError) -> R:
        """Return the result or raise the error; raise `too_late` if the work was cancelled."""
        if self.done.is_set() and self._results:
            return self._results[0]
        if self._cancelled or self._error is None:
            raise too_late
        if isinstance(self._error, psycopg.Error):
            raise refusal_of(self._error) from self._error
        raise self._error


def _connected(seconds: float) -> psycopg.Connection:
    try:
        connection = psycopg.connect(
            settings.AUTOMATIONS_DATABASE_URL,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            client_encoding="utf8",
            application_name="countersign automations",
            tcp_user_timeout=10_000,
        )
    except psycopg.Error as error:
        # Its text names the server, which is nothing for those who read an execution.
        logger.warning("the database of automations does not answer", error=str(error))
        raise unavailable() from None
    try:
        connection.execute(_SETTINGS.format(milliseconds=max(1, round(seconds * 1000))))
    except BaseException:
        connection.close()
        raise
    return connection
