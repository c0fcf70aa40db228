"""An ASGI wrapper that ends a request whose body is larger than the limit.

Django compares Content-Length only: a chunked body has none, and would be read whole into memory.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from config.problems import problem

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]


class _TooLargeError(Exception):
    """Raised into the application where it waits for more of the body."""


def limited(application: Application, *, most: int) -> Application:
    """`application`, answering 413 as soon as more than `most` bytes of a body have come in."""

    async def guarded(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        taken = 0
        started = False

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise _TooLargeError
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await application(scope, counting, noting)
        except _TooLargeError:
            if not started:
                await _refuse(send)

    return guarded


async def _refuse(send: Send) -> None:
    answer = problem(status=413, code="too_large")
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
    headers += [
        (b"content-length", str(len(answer.content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content})
