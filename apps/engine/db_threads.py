"""Runs functions that use Django's ORM in threads beside an event loop, and closes connections."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """A small pool of threads for database work. Connections are closed in the thread that used
    them."""

    def __init__(self, name: str, *, most: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=most, thread_name_prefix=name)

    async def run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the function's result or raise its error. Cancelling the wait does not stop the
        function."""
        context = contextvars.copy_context()

        def call() -> R:
            try:
                return fn(*args, **kwargs)
            finally:
                connections.close_all()

        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, call)

    def close(self) -> None:
        """Accept no further calls; running ones may finish."""
        self._pool.shutdown(wait=False, cancel_futures=True)
