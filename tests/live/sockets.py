"""A websocket of the project's own ASGI application, without a server in between."""

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from django.db import connection
from django.test import Client

from apps.live.broadcast import broadcast
from config.asgi import application

SITE = "http://testserver"


class Page(ApplicationCommunicator):
    """What a browser's page sees of its socket."""

    def __init__(self, wanted: str, *, cookie: str = "", origin: str = SITE) -> None:
        headers = {"host": "testserver", "origin": origin, "cookie": cookie}
        super().__init__(
            application,
            {
                "type": "websocket",
                "path": "/ws/live",
                "query_string": f"topics={wanted}".encode(),
                "headers": [(k.encode(), v.encode()) for k, v in headers.items() if v],
                "subprotocols": [],
            },
        )

    async def open(self) -> bool:
        """Whether the handshake was accepted."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(timeout=60))["type"] == "websocket.accept"

    async def frame(self, timeout: float = 60) -> dict[str, Any]:
        """The next frame."""
        message = await self.receive_output(timeout)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def close_code(self) -> int:
        """With which code the socket closes; frames before that are skipped."""
        while True:
            message = await self.receive_output(timeout=10)
            if message["type"] == "websocket.close":
                return message["code"]

    async def close(self) -> None:
        """As a browser that leaves."""
        await self.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.wait(timeout=10)


@asynccontextmanager
async def page(user: Any, wanted: str) -> AsyncIterator[Page]:
    """An accepted socket of the person (None: nobody), closed at the end."""
    one = Page(wanted, cookie=await cookie_of(user) if user else "")
    assert await one.open()
    try:
        yield one
    finally:
        await one.close()


@database_sync_to_async
def cookie_of(user: Any) -> str:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


@database_sync_to_async
def made(fn: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `fn` returns, called where the ORM may be used."""
    return fn(*arguments, **named)


def say(topic: str, identifier: str = "1", version: int = 1) -> None:
    """Broadcast from a thread of its own, as a worker's activity does."""

    def run() -> None:
        with closing(connection):
            broadcast(topic, id=identifier, version=version)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
