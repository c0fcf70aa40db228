"""Redis for what can do without it: asked briefly, and left alone for a moment when it is away."""

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

#: One question. Redis is beside us or it is down.
CALL_SECONDS = 0.3
#: After it did not answer it is not asked for so long.
QUIET_SECONDS = 5.0

R = TypeVar("R")


class RedisAway(RedisError):
    """Redis does not answer, or did not a moment ago."""


class GuardedRedis:
    """The server of REDIS_URL. `away` is the line in the log when it does not answer: it says what
    is missing then.
    """

    def __init__(self, away: str, *, quiet_seconds: float = QUIET_SECONDS) -> None:
        self.breaker = Breaker(quiet_seconds)
        self._away = away

    def ask(self, call: Callable[["Redis"], R]) -> R:
        """What `call` makes of the client, whose answers are text. Waits for CALL_SECONDS at most.

        RedisAway when Redis does not answer; then it is not asked again for `quiet_seconds`, and
        the log is told once.
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
