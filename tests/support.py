"""Small helpers that tests of every room use."""

import inspect
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
#: `make faults` and `make large` run the large tests at full size; what they prove shows with
#: fewer as well.
FULL_SIZE = os.environ.get("TESTS_AT_FULL_SIZE") == "1"
#: For what a test waits for and does not measure: nothing when green, enough on a busy machine.
LONG_ENOUGH = 60.0
#: For calls over plain HTTP: to read the system's certificates would take longer than the call.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def patience() -> float:
    """How many times slower than a calm machine this one is now, 1 or more.

    By the processes that want a processor, now or over the last minute, for each one that is there;
    TESTS_PATIENCE is the least that it says.
    """
    minute, _, _, running, _ = Path("/proc/loadavg").read_text().replace("/", " ").split()[:5]
    busy = max(float(minute), float(running)) / (os.cpu_count() or 1)
    return max(1.0, busy, float(os.environ.get("TESTS_PATIENCE", "1")))


def patient(seconds: float) -> float:
    """A limit in seconds as this machine can keep it now; on a calm machine the limit itself."""
    return seconds * patience()


def pause(seconds: float) -> None:
    """Let time pass where the time itself is what is tested: a lease or a quiet time that ends, a
    server that hangs for longer than anybody waits. Nobody may wait for another like this: that is
    `eventually`."""
    time.sleep(seconds)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is inside takes less time than that: a promise in wall time, measured on a calm machine,
    and as much longer as the machine is slower."""
    before, began = patience(), time.monotonic()
    yield
    taken, limit = time.monotonic() - began, seconds * max(before, patience())
    assert taken < limit, f"took {taken:.2f} s, the limit is {limit:.2f} s"


def eventually(fn: Callable[[], T], timeout: float = LONG_ENOUGH, every: float = 0.05) -> T:
    """The first truthy value of `fn`; fails with its last value or exception after `timeout` s,
    or as much later as the machine is slower (`patience`)."""
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout
    while True:
        failure: Exception | None = None
        value: T | None = None
        try:
            value = fn()
        except Exception as error:
            failure = error
        if value:
            return value
        now = time.monotonic()
        if now >= deadline and now >= deadline + timeout * (patience() - 1):
            _give_up(timeout, value, failure)
        time.sleep(every)


async def eventually_async(
    fn: Callable[[], T | Awaitable[T]], timeout: float = LONG_ENOUGH, every: float = 0.05
) -> T:
    """As `eventually`, for tests that run in an event loop; `fn` may be a coroutine function."""
    import asyncio

    __tracebackhide__ = True
    deadline = time.monotonic() + timeout
    while True:
        failure: Exception | None = None
        value: T | None = None
        try:
            outcome = fn()
            value = await outcome if inspect.isawaitable(outcome) else outcome
        except Exception as error:
            failure = error
        if value:
            return value
        now = time.monotonic()
        if now >= deadline and now >= deadline + timeout * (patience() - 1):
            _give_up(timeout, value, failure)
        await asyncio.sleep(every)


def _give_up(timeout: float, value: object, failure: Exception | None) -> None:
    __tracebackhide__ = True
    said = f"raised {type(failure).__name__}: {failure}" if failure else f"gave {value!r}"
    try:
        pytest.fail(f"not within {timeout:g} s; the last try {said}")
    except pytest.fail.Exception as outcome:
        raise outcome from failure


def flooded(process: "subprocess.Popen[bytes]", *numbers: signal.Signals) -> int:
    """Send these signals over and over, one on top of the other, until the process ends. Return its
    exit status."""
    deadline = time.monotonic() + LONG_ENOUGH
    while process.poll() is None:
        for number in numbers:
            process.send_signal(number)
        assert time.monotonic() < deadline, "the signals did not end it"
    return process.wait()
