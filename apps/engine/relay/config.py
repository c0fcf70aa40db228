"""How much the relay does at once, and how long it waits for what."""

import random
from dataclasses import dataclass

from django.conf import settings

#: Between two tries of one command, at most.
LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True)
class Limits:
    """Seconds and counts; the defaults of a running relay come from the settings."""

    max_in_flight: int = 20
    per_queue: int = 10
    call_seconds: float = 10.0
    lease_seconds: float = 15.0
    poll_seconds: float = 1.0
    max_attempts: int = 20
    #: A standby asks for the leadership so often.
    standby_seconds: float = 0.5
    beat_seconds: float = 2.0

    @classmethod
    def from_settings(cls) -> "Limits":
        """A lease always outlives its call: two senders of one command are for crashes only."""
        return cls(
            max_in_flight=settings.RELAY_MAX_IN_FLIGHT,
            per_queue=settings.RELAY_MAX_IN_FLIGHT_PER_QUEUE,
            call_seconds=settings.RELAY_CALL_SECONDS,
            lease_seconds=max(settings.RELAY_LEASE_SECONDS, settings.RELAY_CALL_SECONDS + 1.0),
            poll_seconds=settings.RELAY_POLL_SECONDS,
            max_attempts=settings.RELAY_MAX_ATTEMPTS,
        )


def backoff(attempts: int) -> float:
    """Seconds until the next try: doubling from 0.2 to 30, with half of it left to chance."""
    longest = min(LONGEST_BACKOFF_SECONDS, 0.2 * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
