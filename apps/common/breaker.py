"""A server that does not answer is left alone for a moment: callers must not wait one by one."""

import time


class Breaker:
    """Open for `seconds` after a failure. `place` tells servers apart, by address for instance.

    Threads may share it. Each process has its own.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until: dict[str, float] = {}

    def is_open(self, place: str = "") -> bool:
        """Whether the server is to be left alone now."""
        return time.monotonic() < self._until.get(place, 0.0)

    def trip(self, place: str = "") -> None:
        """The server did not answer: leave it alone from now on."""
        self._until[place] = time.monotonic() + self.seconds

    def reset(self) -> None:
        """Forget all failures."""
        self._until.clear()
