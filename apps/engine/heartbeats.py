"""Heartbeats for synchronous activities with blocking calls: HTTP, gRPC, long computations."""

import contextvars
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelled
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import CancelledError

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_INTERVAL = 5.0


def heartbeating(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `fn` and heartbeat until it ends; return its result or raise its error.

    A blocking call cannot be interrupted, and its effect may still happen: after a cancellation the
    heartbeats continue until the call has ended, at the latest by its own timeout, and only then is
    CancelledError raised. So give `fn` a timeout. The other side knows by the idempotency key what
    the call has done, and the workflow compensates.
    """
    # The SDK raises cancellation in this thread at any point; the shield delays it.
    with activity.shield_thread_cancel_exception(), _beating.every(_interval()):
        try:
            result = fn(*args, **kwargs)
        except Exception:
            _check_cancelled()
            raise
        _check_cancelled()
    return result


def _check_cancelled() -> None:
    if activity.is_cancelled():
        raise CancelledError("cancelled while the call ran") from None


class _Beating:
    """One thread that beats for all calls of the process. A call of a few milliseconds costs no
    thread, and no beat."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._calls: dict[int, tuple[float, contextvars.Context]] = {}
        self._due: list[tuple[float, int]] = []
        self._thread: threading.Thread | None = None

    @contextmanager
    def every(self, interval: float) -> Iterator[None]:
        """Beat for the activity of this thread while the block runs."""
        number = next(self._numbers)
        with self._changed:
            self._calls[number] = (interval, contextvars.copy_context())
            heapq.heappush(self._due, (time.monotonic() + interval, number))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
                self._thread.start()
            if self._due[0][1] == number:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._calls[number]

    def _run(self) -> None:
        while True:
            with self._changed:
                context = self._next()
            if context is not None:
                context.run(_beat)

    def _next(self) -> contextvars.Context | None:
        """Wait for a beat that is due; return its activity's context, or None to look again."""
        while self._due and self._due[0][1] not in self._calls:
            heapq.heappop(self._due)
        if not self._due:
            self._changed.wait()
            return None
        at, number = self._due[0]
        left = at - time.monotonic()
        if left > 0:
            self._changed.wait(left)
            return None
        interval, context = self._calls[number]
        heapq.heapreplace(self._due, (time.monotonic() + interval, number))
        return context


_beating = _Beating()


def _interval() -> float:
    """Return a third of the timeout: two heartbeats may be lost before the server gives up."""
    timeout = activity.info().heartbeat_timeout
    return timeout.total_seconds() / 3 if timeout else DEFAULT_INTERVAL


def _beat() -> None:
    try:
        activity.heartbeat()
    except (TimeoutError, FutureCancelled, RuntimeError):
        # The worker's loop is busy or closing. The server alone counts missing heartbeats.
        activity.logger.warning("heartbeat.not_sent")
