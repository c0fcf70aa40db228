"""Activities of the tests: each does one thing that a worker has to cope with."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import connection
from temporalio import activity

from apps.common import correlation
from apps.common.errors import Conflict, Unavailable
from apps.engine.heartbeats import heartbeating


def threads(count: int = 8) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count)


@activity.defn
def first(word: str) -> str:
    return f"first {word}"


@activity.defn
def second(word: str) -> str:
    return f"second {word}"


@activity.defn
def refuse(word: str) -> str:
    raise Conflict(f"{word} is settled", code="already_settled")


@activity.defn
def unavailable_once(word: str) -> str:
    if activity.info().attempt == 1:
        raise Unavailable("the executor does not answer", code="executor_unavailable")
    return f"{word} after {activity.info().attempt}"


@activity.defn
def never_available(word: str) -> list[str]:
    attempt = activity.info().attempt
    raise Unavailable(f"attempt {attempt} found nobody", code="executor_unavailable")


@activity.defn
def where(word: str) -> list[str]:
    """How and under which correlation id it ran."""
    return ["local" if activity.info().is_local else "remote", correlation.current()]


@activity.defn
def fails_locally(word: str) -> str:
    if activity.info().is_local:
        raise RuntimeError("not here")
    return f"remote {word}"


@activity.defn
def hangs_locally(word: str) -> str:
    if activity.info().is_local:
        time.sleep(3)
    return "local" if activity.info().is_local else "remote"


@activity.defn
def query(word: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.05), current_database()")
        return str(cursor.fetchone()[1])


@activity.defn
def hold(seconds: float) -> str:
    """Blocks its thread, as a call to a slow system does. Its heartbeat says that it has begun:
    the server counts it as begun when it hands it out, and a worker that shuts down just then never
    hears of it."""
    activity.heartbeat("holds")
    time.sleep(seconds)
    return "held"


#: Set when the call of `long_call` has ended: what its caller must wait for.
ENDED = threading.Event()


@activity.defn
def long_call(seconds: float) -> str:
    """A blocking call; it ends early, a moment after the cancellation has come through."""
    ENDED.clear()

    def call() -> str:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not activity.is_cancelled():
            time.sleep(0.02)
        time.sleep(0.2)
        ENDED.set()
        return "called"

    return heartbeating(call)


ACTIVITIES = [
    first,
    second,
    refuse,
    never_available,
    unavailable_once,
    where,
    fails_locally,
    hangs_locally,
    query,
    hold,
    long_call,
]
