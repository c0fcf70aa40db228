"""What runs beside the pages in a process of the site, from its start to its end."""

import asyncio
import atexit
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol

Message = MutableMapping[str, Any]


class Part(Protocol):
    """Something with a thread of its own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Lifespan:
    """Starts the parts at once, and stops them once: when the server ends, after the last request,
    or with the process under a server that tells nobody (`--lifespan off`)."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)
        for part in self._parts:
            part.start()
        atexit.register(self._stop)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer the server's messages, as ASGI's lifespan protocol has them."""
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(self._stop)
        await send({"type": "lifespan.shutdown.complete"})

    def _stop(self) -> None:
        parts, self._parts = self._parts, []
        for part in reversed(parts):
            part.stop()
