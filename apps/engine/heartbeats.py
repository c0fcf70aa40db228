"""Heartbeats for sync activities whose call blocks: HTTP, gRPC, long computations."""

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
    """Run `fn` in a thread of its own and heartbeat until it ends; its result or its error.

    A blocking call cannot be interrupted, and its effect may still happen: on cancellation the
    heartbeats go on until the call has ended, by its own timeout at the latest, and only then
    CancelledError is raised. So give `fn` a timeout. What it has done by then is known to the
    other side by its idempotency key, and the workflow compensates.
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
            # The thread is not one of the worker's: nobody else gives its connection back.
            connections.close_all()
            ended.set()

    name = f"call-{activity.info().activity_type}"
    thread = threading.Thread(target=context.run, args=(call,), name=name, daemon=True)
    interval = _interval()
    # The SDK raises cancellation in this thread at any point; inside the shield it waits.
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
    """A third of the timeout: two beats may be lost before the server gives up."""
    timeout = activity.info().heartbeat_timeout
    return timeout.total_seconds() / 3 if timeout else DEFAULT_INTERVAL


def _beat() -> None:
    try:
        activity.heartbeat()
    except (TimeoutError, FutureCancelled, RuntimeError):
        # The worker's loop is busy or closing. The server counts a missing beat, not we.
        activity.logger.warning("heartbeat.not_sent")
