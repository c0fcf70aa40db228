"""Limits of the relay: concurrency, timeouts and retries."""

import random
from dataclasses import dataclass

from django.conf import settings

#: The longest time between two attempts of one command.
LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(frozen=True)
class Limits:
    """Seconds and counts; a running relay takes them from the settings."""

    max_in_flight: int = 20
    per_queue: int = 10
    call_seconds: float = 10.0
    lease_seconds: float = 15.0
    poll_seconds: float = 1.0
    max_attempts: int = 20
    #: How often a standby tries to become the leader.
    standby_seconds: float = 0.5
    beat_seconds: float = 2.0

    @classmethod
    def from_settings(cls) -> "Limits":
        """Read the settings. A lease always outlives its call, so that only crashes cause a second
        sender."""
        return cls(
            max_in_flight=settings.RELAY_MAX_IN_FLIGHT,
            per_queue=settings.RELAY_MAX_IN_FLIGHT_PER_QUEUE,
            call_seconds=settings.RELAY_CALL_SECONDS,
            lease_seconds=max(settings.RELAY_LEASE_SECONDS, settings.RELAY_CALL_SECONDS + 1.0),
            poll_seconds=settings.RELAY_POLL_SECONDS,
            max_attempts=settings.RELAY_MAX_ATTEMPTS,
        )


def backoff(attempts: int) -> float:
    """Return the seconds until the next attempt: doubling from 0.2 to 30, half of it random."""
    longest = min(LONGEST_BACKOFF_SECONDS, 0.2 * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
