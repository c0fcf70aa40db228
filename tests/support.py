"""Small helpers that tests of every room use."""

import inspect
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

T = TypeVar("T")
#: `make faults` and `make large` run the large tests at full size; what they prove shows with
#: fewer as well.
FULL_SIZE = os.environ.get("TESTS_AT_FULL_SIZE") == "1"


def eventually(fn: Callable[[], T], timeout: float = 10, every: float = 0.05) -> T:
    """The first truthy value of `fn`; fails with its last value or exception after `timeout` s."""
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
        if time.monotonic() >= deadline:
            _give_up(timeout, value, failure)
        time.sleep(every)


async def eventually_async(
    fn: Callable[[], T | Awaitable[T]], timeout: float = 10, every: float = 0.05
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
        if time.monotonic() >= deadline:
            _give_up(timeout, value, failure)
        await asyncio.sleep(every)


def _give_up(timeout: float, value: object, failure: Exception | None) -> None:
    __tracebackhide__ = True
    said = f"raised {type(failure).__name__}: {failure}" if failure else f"gave {value!r}"
    try:
        pytest.fail(f"not within {timeout:g} s; the last try {said}")
    except pytest.fail.Exception as outcome:
        raise outcome from failure
