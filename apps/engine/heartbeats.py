"""Heartbeats for synchronous activities with blocking calls: HTTP, gRPC, long computations."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelled
from typing import ParamSpec, TypeVar

from django.db import connections
from temporalio import activity
from temporalio.exceptions import CancelledError

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_INTERVAL = 5.0


def heartbeating(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `fn` in its own thread and heartbeat until it ends; return its result or raise its error.

    A blocking call cannot be interrupted, and its effect may still happen: after a cancellation the
    heartbeats continue until the call has ended, at the latest by its own timeout, and only then is
    CancelledError raised. So give `fn` a timeout. The other side knows by the idempotency key what
    the call has done, and the workflow compensates.
    """
    context = contextvars.copy_context()
    outcome: list[R] = []
    failure: list[BaseException] = []
    ended = threading.Event()

    def call() -> None:
        try:
            outcome.append(fn(*args, **kwargs))
        except BaseException as error:
            failure.append(error)
        finally:
            # The thread is not from the worker's pool: nobody else closes its connection.
            connections.close_all()
            ended.set()

    name = f"call-{activity.info().activity_type}"
    thread = threading.Thread(target=context.run, args=(call,), name=name, daemon=True)
    interval = _interval()
    # The SDK raises cancellation in this thread at any point; the shield delays it.
    with activity.shield_thread_cancel_exception():
        thread.start()
        while not ended.wait(interval):
            _beat()
        cancelled = activity.is_cancelled()
    if cancelled:
        raise CancelledError("cancelled while the call ran")
    if failure:
        raise failure[0]
    return outcome[0]


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
