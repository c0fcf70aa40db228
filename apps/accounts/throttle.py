"""How often somebody may try: counters in Redis, and in this process while Redis is away.

Guessing is counted before it is looked at and given back when it was right, so that many guesses at
once are no way around a limit. Without Redis nobody is locked out and nothing fails: each process
counts for itself, so that a limit is at most as many times higher as there are processes.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings

from apps.common.redis import GuardedRedis, RedisAway

#: Counters that a process keeps by itself at most.
MOST_LOCAL = 10_000

#: DECR on a counter that has just ended would make one that never ends.
_GIVE_BACK = "if redis.call('exists', KEYS[1]) == 1 then return redis.call('decr', KEYS[1]) end"


@dataclass(frozen=True)
class Limit:
    """At most `amount` failures of `subject` within `seconds` of the first."""

    name: str
    subject: str
    amount: int
    seconds: int

    @property
    def key(self) -> str:
        """The counter's name. Only a digest: people type passwords into the field for the name."""
        digest = hashlib.sha256(f"{settings.SECRET_KEY}:{self.subject}".encode("utf-8", "replace"))
        return f"{settings.LIVE_PREFIX}:throttle:{self.name}:{digest.hexdigest()[:32]}"


@dataclass(frozen=True)
class Refused:
    """Which limit was met, when it ends, and whether this is the first try beyond it."""

    limit: Limit
    retry_after: int
    first: bool


def consume(*limits: Limit) -> Refused | None:
    """Count a try against every limit; None when it may be made.

    The first limit that is met decides, and what was counted before it is given back.
    """
    for position, limit in enumerate(limits):
        count, left = _counted(limit)
        if count > limit.amount:
            give_back(*limits[:position])
            return Refused(limit, retry_after=max(1, left), first=count == limit.amount + 1)
    return None


def give_back(*limits: Limit) -> None:
    """The try was right: it does not count."""
    for limit in limits:
        _through(lambda store, key=limit.key: store.give_back(key))  # type: ignore[misc]


# --- where it is counted ------------------------------------------------------------------------
class _Redis:
    """Counts in Redis. Raises RedisAway."""

    def __init__(self) -> None:
        self.server = GuardedRedis("throttle_counts_locally")

    def count(self, key: str, seconds: int) -> tuple[int, int]:
        def ask(redis: Any) -> list[Any]:
            pipe = redis.pipeline(transaction=True)
            pipe.set(key, 0, ex=seconds, nx=True)
            pipe.incr(key)
            pipe.ttl(key)
            return list(pipe.execute())

        _, count, left = self.server.ask(ask)
        return int(count), int(left)

    def give_back(self, key: str) -> None:
        self.server.ask(lambda redis: redis.eval(_GIVE_BACK, 1, key))


class _Local:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}

    def count(self, key: str, seconds: int) -> tuple[int, int]:
        now = time.monotonic()
        with self._lock:
            count, ends = self._counts.get(key, (0, 0.0))
            if ends <= now:
                count, ends = 0, now + seconds
                self._make_room(now)
            self._counts[key] = (count + 1, ends)
        return count + 1, int(ends - now) + 1

    def give_back(self, key: str) -> None:
        with self._lock:
            if key in self._counts:
                count, ends = self._counts[key]
                self._counts[key] = (count - 1, ends)

    def _make_room(self, now: float) -> None:
        if len(self._counts) >= MOST_LOCAL:
            self._counts = {k: v for k, v in self._counts.items() if v[1] > now}
        if len(self._counts) >= MOST_LOCAL:
            self._counts.clear()


_redis, _local = _Redis(), _Local()


def reset() -> None:
    """Forget what this process has counted, and that Redis was away."""
    _local.__init__()  # type: ignore[misc]
    _redis.server.breaker.reset()


def _counted(limit: Limit) -> tuple[int, int]:
    answer = _through(lambda store: store.count(limit.key, limit.seconds))
    return cast("tuple[int, int]", answer)


def _through(call: Callable[[Any], Any]) -> Any:
    try:
        return call(_redis)
    except RedisAway:
        return call(_local)
