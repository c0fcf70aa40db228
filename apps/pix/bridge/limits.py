"""The buckets as this site counts them, in Redis for all its processes together: a call that the
directory would refuse is not sent. Without Redis calls go on, and the directory counts alone."""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.common.language import lazy as _
from apps.common.redis import GuardedRedis, RedisAway
from apps.pix.bridge.buckets import BUCKETS, Bucket, cost_of, group_of
from apps.pix.bridge.problems import DirectoryUnavailable

if TYPE_CHECKING:
    from redis import Redis

#: Take ARGV[3] calls, by the clock of Redis; the milliseconds to wait when there are too few. With
#: ARGV[4] they are taken however few there are (a negative number gives back), with ARGV[5] the
#: bucket is emptied so that one call is there again after as many seconds.
_SCRIPT = """
local refill, size, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(kept[1]) or size
left = math.min(size, left + math.max(0, now - (tonumber(kept[2]) or now)) * refill)
if ARGV[5] ~= '' then
  left = math.min(left, 1 - refill * tonumber(ARGV[5]))
elseif ARGV[4] == '' and left < cost then
  return math.ceil((cost - left) / refill * 1000)
else
  left = math.min(size, left - cost)
end
redis.call('HSET', KEYS[1], 'left', string.format('%.6f', left), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((size - left) / refill * 1000) + 1000)
return 0
"""
#: Longer than the directory says that it waits is nobody made to wait.
_LONGEST_DRAIN = 3600.0

_server = GuardedRedis("directory_buckets_are_not_counted")


@lru_cache(maxsize=8)
def _buckets(changed: tuple[tuple[str, tuple[float, int]], ...]) -> Mapping[str, Bucket]:
    if unknown := {name for name, _figures in changed} - BUCKETS.keys():
        raise ImproperlyConfigured(f"DIRECTORY_BUCKETS: there is no {', '.join(sorted(unknown))}")
    return {**BUCKETS, **{name: Bucket(*figures) for name, figures in changed}}


def buckets() -> Mapping[str, Bucket]:
    """Return the buckets that hold here. Raises ImproperlyConfigured for a name that is none."""
    return _buckets(tuple(sorted(settings.DIRECTORY_BUCKETS.items())))


def take(operation: str, participant: str, *, role: str = "") -> None:
    """Count a call that is about to be made. Raises DirectoryUnavailable when its bucket is empty:
    nothing was sent."""
    wait = _count(operation, participant, role, cost=1)
    if wait:
        raise DirectoryUnavailable(
            _("The directory takes no more of these calls now."),
            retry_after=timedelta(milliseconds=wait),
            maybe_done=False,
        )


def answered(operation: str, participant: str, status: int, *, role: str = "") -> None:
    """Correct what `take` counted, by the answer's `status` (HTTP's)."""
    if (more := cost_of(operation, status) - 1) != 0:
        _count(operation, participant, role, cost=more, forced=True)


def refused(operation: str, participant: str, seconds: float, *, role: str = "") -> None:
    """The directory counts otherwise: nobody calls before `seconds` have passed."""
    _count(operation, participant, role, cost=0, drained=min(seconds, _LONGEST_DRAIN))


def reset() -> None:
    """Forget what was counted, and that Redis was away."""
    _server.breaker.reset()
    try:
        _server.ask(_forget)
    except RedisAway:
        return


def _forget(redis: "Redis") -> None:
    for key in redis.scan_iter(f"{settings.LIVE_PREFIX}:directory:bucket:*"):
        redis.delete(key)


def _count(
    operation: str,
    participant: str,
    role: str,
    *,
    cost: int,
    forced: bool = False,
    drained: float | None = None,
) -> int:
    group = group_of(operation, role)
    if not group:
        return 0
    bucket = buckets()[group]
    key = f"{settings.LIVE_PREFIX}:directory:bucket:{group}:{participant[:20]}"
    figures = [f"{bucket.refill / 60:.9f}", str(bucket.size), str(cost)]
    words = [*figures, "1" if forced else "", "" if drained is None else f"{drained:.3f}"]
    try:
        return int(_server.ask(lambda redis: redis.eval(_SCRIPT, 1, key, *words)))
    except RedisAway:
        return 0
