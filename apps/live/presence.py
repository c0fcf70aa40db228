"""Who looks at a page now: kept in Redis by the sockets, gone by itself when a process is killed.

A sorted set for each topic: `<user>:<socket>` by the time until which it counts. Whatever Redis
does, nothing here raises and nothing waits for longer than a moment: then nobody is shown.
Times are those of the web processes: their clocks may differ by seconds, not by PRESENT_SECONDS.
"""

import asyncio
import time
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

from apps.common.correlation import get_logger
from apps.common.redis import GuardedRedis, RedisAway
from apps.live.topics import group_name

logger = get_logger(__name__)

#: So long somebody counts after the last sign of life.
PRESENT_SECONDS = 45.0
#: How often a socket gives one: two may be lost.
REFRESH_SECONDS = 15.0
#: Comings and goings are told together at most this often: fifty people who open one request at
#: once must not make fifty pages fetch fifty times.
GATHER_SECONDS = 1.0
#: More of them nobody reads, and a fragment must stay small.
MOST_SOCKETS = 500

_redis = GuardedRedis("it is not known who looks at pages")


def present(topic: str) -> list[int]:
    """Ids of the people who have a page of the topic open, in order; [] while Redis does not
    answer. Whether the asker may know is the caller's question."""
    now = time.time()
    try:
        found: Any = _redis.ask(
            lambda redis: redis.zrangebyscore(_key(topic), now, "+inf", start=0, num=MOST_SOCKETS)
        )
    except RedisAway:
        return []
    return sorted({person for person in map(_user, found) if person is not None})


def arrive(topic: str, user_id: int, socket: str) -> bool:
    """Count the socket from now on, or further on. True when others see something new: the person
    was not there, or somebody's time has run out. Safe to repeat."""
    key, now = _key(topic), time.time()

    def count(redis: Any) -> list[Any]:
        with redis.pipeline(transaction=True) as pipe:
            pipe.zremrangebyscore(key, "-inf", now)
            pipe.zrange(key, 0, MOST_SOCKETS)
            pipe.zadd(key, {f"{user_id}:{socket}": now + PRESENT_SECONDS})
            pipe.expire(key, int(PRESENT_SECONDS) + 1)
            return list(pipe.execute())

    try:
        lapsed, before, _, _ = _redis.ask(count)
    except RedisAway:
        return False
    return bool(lapsed) or user_id not in {_user(member) for member in before}


def leave(topic: str, user_id: int, socket: str) -> bool:
    """Count the socket no more. True when it was the person's last one."""
    key = _key(topic)

    def take_off(redis: Any) -> list[Any]:
        with redis.pipeline(transaction=True) as pipe:
            pipe.zrem(key, f"{user_id}:{socket}")
            pipe.zrange(key, 0, MOST_SOCKETS)
            return list(pipe.execute())

    try:
        removed, left = _redis.ask(take_off)
    except RedisAway:
        return False
    return bool(removed) and user_id not in {_user(member) for member in left}


# --- the socket's side ----------------------------------------------------------------------------
#: Tasks that outlive the socket that started them: a leaving one still has to tell.
_telling: set["asyncio.Task[None]"] = set()


async def socket_arrive(topic: str, user_id: int, socket: str) -> None:
    """`arrive` for a consumer: beside the event loop, and the others are told."""
    if await asyncio.to_thread(arrive, topic, user_id, socket):
        _tell_soon(topic)


async def socket_leave(topic: str, user_id: int, socket: str) -> None:
    """`leave` for a consumer: beside the event loop, and the others are told."""
    if await asyncio.to_thread(leave, topic, user_id, socket):
        _tell_soon(topic)


def _tell_soon(topic: str) -> None:
    task = asyncio.create_task(_tell(topic))
    _telling.add(task)
    task.add_done_callback(_telling.discard)


async def _tell(topic: str) -> None:
    """Once for all that change within GATHER_SECONDS, by whichever process was first."""
    try:
        first = await asyncio.to_thread(_first_to_tell, topic)
        if not first:
            return
        # Told after the key is gone: who changes something meanwhile begins the next round.
        await asyncio.sleep(GATHER_SECONDS * 1.1)
        identifier = topic.partition(":")[2]
        message = {"topic": topic, "id": identifier, "version": 0}
        async with asyncio.timeout(2):
            await get_channel_layer().group_send(
                group_name(topic), {"type": "live.changed", "message": message}
            )
    except (RedisError, OSError, TimeoutError) as error:
        logger.debug("who looks at a page was not told", topic=topic, error=repr(error))


def _first_to_tell(topic: str) -> bool:
    key, milliseconds = f"{_key(topic)}:told", int(GATHER_SECONDS * 1000)
    try:
        return bool(_redis.ask(lambda redis: redis.set(key, 1, nx=True, px=milliseconds)))
    except RedisAway:
        return False


def _key(topic: str) -> str:
    return f"{settings.LIVE_PREFIX}:present:{topic}"


def _user(member: str) -> int | None:
    user, _, _ = member.partition(":")
    return int(user) if user.isdecimal() else None
