"""Redis for optional uses: short timeouts, and no calls for a moment after a failure."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.common.breaker import Breaker
from apps.common.correlation import get_logger

logger = get_logger(__name__)

#: Timeout of a call. Redis is close by, or it is down.
CALL_SECONDS = 0.3
#: How long Redis is not called after a failure.
QUIET_SECONDS = 5.0

R = TypeVar("R")


class RedisAway(RedisError):
    """Redis does not answer, or did not a moment ago."""


class GuardedRedis:
    """The server at REDIS_URL. `away` is the log message when it does not answer, and names what is
    missing then."""

    def __init__(self, away: str, *, quiet_seconds: float = QUIET_SECONDS) -> None:
        self.breaker = Breaker(quiet_seconds)
        self._away = away

    def ask(self, call: Callable[["Redis"], R]) -> R:
        """Return the result of `call(client)`, within CALL_SECONDS; the client's answers are text.

        Raises RedisAway when Redis does not answer; then it is not called for `quiet_seconds`, and
        the failure is logged once.
        """
        url = settings.REDIS_URL
        if self.breaker.is_open(url):
            raise RedisAway
        try:
            return call(_client(url))
        except (RedisError, OSError, ValueError) as error:
            self.breaker.trip(url)
            logger.warning(self._away, error=repr(error))
            raise RedisAway from error


@lru_cache(maxsize=4)
def _client(url: str) -> "Redis":
    return Redis.from_url(
        url,
        socket_timeout=CALL_SECONDS,
        socket_connect_timeout=CALL_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
