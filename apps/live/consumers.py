"""The websocket of live pages. It says what changed; the page fetches the fragment again."""

import asyncio
import random
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from apps.common.correlation import get_logger
from apps.live import presence, topics
from apps.live.topics import Topic

if TYPE_CHECKING:
    from apps.accounts.models import User

logger = get_logger(__name__)

MOST_TOPICS = 20
BAD_TOPICS, NOT_LOGGED_IN, TRY_AGAIN = 4400, 4401, 1013


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """`/ws/live?topics=inbox,request:<id>`, at most 20 topics, for people with a session.

    Frames: `{"topic", "id", "version"}` per change; `{"topic": "hello"}` when the subscription is
    in place, and again when a lost connection to Redis is back (fetch again then, because messages
    may be lost); `{"topic", "error": "forbidden"}` for a topic that the user may not see.
    Closes with 4401 without a login, when it ends or a second factor is owed, 4400 for an unknown
    topic, 1013 while Redis or PostgreSQL is down. Frames from the client are ignored.
    """

    #: At least this often the session and the permissions are looked at again.
    check_seconds = 60.0
    #: With traffic more often: a frame is preceded by a look when the last one is older.
    check_before_frame_seconds = 5.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As the base class, but a server that is down closes the socket without a traceback."""
        self._accepted = False
        self._checks: asyncio.Task[None] | None = None
        self._presence: asyncio.Task[None] | None = None
        self._arriving = asyncio.Lock()
        self._user_id = 0
        self.watched: dict[str, tuple[Topic, str]] = {}
        try:
            await super().__call__(scope, receive, send)
        except (RedisError, OSError, DatabaseError) as error:
            logger.warning("a live page was cut off", error=repr(error))
            # Closing before the handshake would hide the code from the browser.
            if not self._accepted:
                await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": TRY_AGAIN})
        finally:
            # Not only in `disconnect`: a socket that ends otherwise must not go on being present.
            self._stop_tasks()

    async def connect(self) -> None:
        await self.accept()
        self._accepted = True
        self._checked_at = time.monotonic()
        user = self.scope.get("user")
        if not _may_watch(user):
            await self.close(NOT_LOGGED_IN)
            return
        wanted = _wanted(self.scope.get("query_string", b""))
        if wanted is None:
            await self.close(BAD_TOPICS)
            return
        allowed = await _allowed(user, wanted)
        self._user_id = user.pk
        for name in wanted:
            if name in allowed:
                await self.channel_layer.group_add(topics.group_name(name), self.channel_name)
                self.watched[name] = wanted[name]
            else:
                await self.send_json({"topic": name, "error": "forbidden"})
        await self.send_json({"topic": "hello"})
        self._checks = asyncio.create_task(self._check_for_ever())
        if any(topic.presence for topic, _ in self.watched.values()):
            self._presence = asyncio.create_task(self._be_present())

    async def disconnect(self, code: int) -> None:
        # A sign of life on its way must not be counted after the leaving.
        async with self._arriving:
            self._stop_tasks()
        for name in list(self.watched):
            await self._unwatch(name)

    def _stop_tasks(self) -> None:
        for task in (self._checks, self._presence):
            if task is not None:
                task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore frames from the client, whatever they contain."""

    # --- from the channel layer ------------------------------------------------------------------
    async def live_changed(self, event: dict[str, Any]) -> None:
        if time.monotonic() - self._checked_at > self.check_before_frame_seconds:
            await self._check_if_possible()
        if event["message"]["topic"] in self.watched:
            await self.send_json(event["message"])

    async def live_resubscribed(self, event: dict[str, Any]) -> None:
        await self.send_json({"topic": "hello"})

    # --- others see who is looking ---
    async def _be_present(self) -> None:
        while True:
            for name, (topic, _) in list(self.watched.items()):
                if topic.presence:
                    async with self._arriving:
                        await presence.socket_arrive(name, self._user_id, self.channel_name)
            await asyncio.sleep(presence.REFRESH_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311

    # --- the session may end, permissions may go ---
    async def _check_for_ever(self) -> None:
        while True:
            # Jitter: after a restart every page of everybody connects in the same second.
            await asyncio.sleep(self.check_seconds * random.uniform(0.8, 1.0))  # noqa: S311
            await self._check_if_possible()

    async def _check_if_possible(self) -> None:
        try:
            await self._check()
        except DatabaseError as error:
            # The next look will tell. Until then frames go on: they hold an id and a version.
            logger.warning("a live session could not be checked", error=repr(error))

    async def _check(self) -> None:
        self._checked_at = time.monotonic()
        user = await _logged_in(self.scope["session"].session_key)
        if user is None:
            for name in list(self.watched):
                await self._unwatch(name)
            await self.close(NOT_LOGGED_IN)
            return
        allowed = await _allowed(user, dict(self.watched))
        for name in [name for name in self.watched if name not in allowed]:
            await self._unwatch(name)
            await self.send_json({"topic": name, "error": "forbidden"})

    async def _unwatch(self, name: str) -> None:
        watched = self.watched.pop(name, None)
        if watched is not None and watched[0].presence:
            await presence.socket_leave(name, self._user_id, self.channel_name)
        try:
            await self.channel_layer.group_discard(topics.group_name(name), self.channel_name)
        except (RedisError, OSError) as error:
            logger.warning("a topic could not be left", topic=name, error=repr(error))


def _wanted(query: bytes) -> dict[str, tuple[Topic, str]] | None:
    """The topics named in the address; None when there are none, too many, or an unknown one."""
    values = parse_qs(query.decode("ascii", "replace")).get("topics", [])
    names = [name for value in values for name in value.split(",") if name]
    if not 0 < len(names) <= MOST_TOPICS:
        return None
    wanted: dict[str, tuple[Topic, str]] = {}
    for name in names:
        if (known := topics.parse(name)) is None:
            return None
        wanted[name] = known
    return wanted


@database_sync_to_async
def _allowed(user: "User", wanted: dict[str, tuple[Topic, str]]) -> set[str]:
    return {
        name for name, (topic, identifier) in wanted.items() if topic.visible_to(user, identifier)
    }


async def _logged_in(session_key: str | None) -> "User | None":
    """Whose session it is now, read anew: expired, logged out, a changed password give nobody."""
    if not session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore
    user = await get_user({"session": store(session_key)})
    return user if _may_watch(user) else None


def _may_watch(user: Any) -> bool:
    """Somebody who owes a second factor is as good as not signed in."""
    return (
        user is not None and user.is_authenticated and user.is_active and not user.second_factor_due
    )
