"""Circuit breaker: after a failure, callers skip the server for a moment instead of each waiting
for a timeout."""

import time


class Breaker:
    """Open for `seconds` after a failure. `place` distinguishes servers, such as by address.

    Threads may share it. Each process has its own.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until: dict[str, float] = {}

    def is_open(self, place: str = "") -> bool:
        """Return whether calls to the server should be skipped now."""
        return time.monotonic() < self._until.get(place, 0.0)

    def trip(self, place: str = "") -> None:
        """Open the breaker, because the server did not answer."""
        self._until[place] = time.monotonic() + self.seconds

    def reset(self) -> None:
        """Forget all failures."""
        self._until.clear()
