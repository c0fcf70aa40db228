"""An event loop in a thread, for code that runs in threads without one."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")


class LoopThread:
    """A daemon thread with an event loop, started at its first use; a forked child starts its own.

    Make one per purpose and process: it never ends.
    """

    _loop: asyncio.AbstractEventLoop | None
    _thread: threading.Thread | None

    def __init__(self, name: str) -> None:
        self._name = name
        self._forget()
        # A child inherits the loop, but not the thread that runs it.
        os.register_at_fork(after_in_child=self._forget)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop; call its methods with `call_soon_threadsafe` only."""
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, R]) -> "Future[R]":
        """Run the coroutine in the loop; wait for the future in a thread, never in an event
        loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop())

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._loop = self._thread = None

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
