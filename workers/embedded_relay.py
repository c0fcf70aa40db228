"""A standby relay inside the worker process, in its own thread and event loop."""

import asyncio
import threading

from apps.common import correlation
from apps.engine.relay import Relay

logger = correlation.get_logger("workers.embedded_relay")

AGAIN_SECONDS = 2.0


class StandbyRelay:
    """Stands by, and leads when no other relay does. Restarted after a failure."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """Give up leadership and end, within `seconds`."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(seconds)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                await Relay(name=self._name).run(self._stop)
            except Exception:
                logger.exception("relay.failed")
            try:
                await asyncio.wait_for(self._stop.wait(), AGAIN_SECONDS)
            except TimeoutError:
                continue
