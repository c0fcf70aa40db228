"""Tells open pages that a row changed: its id and version, sent after the commit.

A lost message leaves a page stale for a moment, nothing more, so nothing here waits or raises.
"""

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 - registers its own end before ours
import os
import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

from channels.layers import get_channel_layer
from django.db import transaction

from apps.common.background import LoopThread
from apps.common.correlation import get_logger
from apps.live.topics import group_name, well_formed

logger = get_logger(__name__)

#: A message that could not be handed over by then is dropped.
PUBLISH_SECONDS = 2.0
#: Messages that wait for Redis at the same time; further ones are dropped.
MOST_PENDING = 1000
#: How long the end of a process waits for its last messages.
EXIT_SECONDS = PUBLISH_SECONDS
#: While Redis is down, one line in the log per this many seconds.
LOG_SECONDS = 10.0

_Waiting = tuple[dict[str, Any], Future[None]]


def broadcast(topic: str, *, id: str, version: int) -> None:
    """Send `{topic, id, version}` to the pages that watch the topic, once the transaction commits.

    Joins the caller's transaction: rolled back, nothing is sent; without one it is sent now.
    Never raises and never waits for Redis: with Redis down the message is dropped and logged.
    Works from any thread of any process.
    """
    if not well_formed(topic):
        logger.error("a message for an unknown topic was dropped", topic=topic)
        return
    message = {"topic": topic, "id": str(id), "version": version}
    transaction.on_commit(partial(_publisher.publish, message), robust=True)


class _Publisher:
    """A thread with an event loop; `publish` hands a message over and returns.

    Waiting messages are sent in one round trip, because one commit usually tells several topics.
    """

    def __init__(self) -> None:
        self.thread = LoopThread("live-broadcast")
        self.reset()

    def reset(self) -> None:
        """Forget everything: also what a forked child inherits, which is the parent's to send."""
        self._waiting: deque[_Waiting] = deque()
        self._pending: set[Future[None]] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._dropped = 0
        self._logged_at = 0.0

    def publish(self, message: dict[str, Any]) -> None:
        try:
            if len(self._pending) >= MOST_PENDING:
                self._drop(message, "too many messages wait for Redis")
                return
            loop = self.thread.loop()
            future: Future[None] = Future()
            self._pending.add(future)
            future.add_done_callback(self._pending.discard)
            self._waiting.append((message, future))
            loop.call_soon_threadsafe(self._take)
        except Exception as error:
            self._drop(message, repr(error))

    def drain(self, seconds: float) -> None:
        """Wait until what was published is handed over, at most `seconds`."""
        pending = list(self._pending)
        if pending:
            wait(pending, timeout=seconds)

    def _take(self) -> None:
        """Runs on the thread's loop: send all waiting messages."""
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        if taken:
            task = asyncio.get_running_loop().create_task(self._send(taken))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, taken: list[_Waiting]) -> None:
        # One commit may tell a topic the same several times.
        different = {tuple(message.values()): message for message, _ in taken}
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await get_channel_layer().group_send_all(
                    [
                        (group_name(message["topic"]), {"type": "live.changed", "message": message})
                        for message in different.values()
                    ]
                )
        except Exception as error:
            for message, _ in taken:
                self._drop(message, repr(error))
        finally:
            for _, future in taken:
                future.set_result(None)

    def _drop(self, message: dict[str, Any], why: str) -> None:
        self._dropped += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            logger.warning(
                "live messages dropped", topic=message["topic"], error=why, dropped=self._dropped
            )
            self._dropped = 0


_publisher = _Publisher()
os.register_at_fork(after_in_child=_publisher.reset)
# A command's last commit is followed at once by its end, and the thread is a daemon. Resolving
# Redis' name needs an executor, and those are shut down before `atexit`: so first the earlier hook,
# registered after the executors' own because the last one is called first.
threading._register_atexit(partial(_publisher.drain, EXIT_SECONDS))  # type: ignore[attr-defined]
atexit.register(_publisher.drain, EXIT_SECONDS)
