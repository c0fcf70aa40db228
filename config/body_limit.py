"""An ASGI wrapper that ends a request whose body is larger than the limit.

Django compares Content-Length only: a chunked body has none, and would be read whole into memory.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from apps.web.body_sizes import Roomier
from config.problems import PREFIX, problem

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]

#: How many times the room is read and forgotten, so that somebody sees why a file is refused.
DRAINED = 5
_WORDS = (
    b"<!doctype html><html lang=en><meta charset=utf-8>"
    b"<meta name=viewport content='width=device-width'><title>Too large</title>"
    b"<h1>That is more than this site takes</h1>"
    b"<p>Nothing was kept. Go back and choose a smaller file.</p>"
)


class _TooLargeError(Exception):
    """Raised into the application where it waits for more of the body."""


def limited(application: Application, *, most: int, roomier: Iterable[Roomier] = ()) -> Application:
    """`application`, answering 413 as soon as more than `most` bytes of a body have come in, or
    more than a `roomier` address has room for."""
    exceptions = list(roomier)

    async def guarded(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        room = max([most, *(one.most for one in exceptions if one.fits(scope))])
        taken = 0
        started = False

        async def counting() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > room:
                raise _TooLargeError
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await application(scope, counting, noting)
        except _TooLargeError:
            if room > most:
                # A browser that still sends sees a reset connection instead of the answer.
                await _drain(receive, most=room * DRAINED)
            if not started:
                await _refuse(scope, send)

    return guarded


async def _drain(receive: Receive, *, most: int) -> None:
    """Let the rest of a form with files go by, as far as it is worth it."""
    while most > 0:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        most -= len(message.get("body", b""))


async def _refuse(scope: dict[str, Any], send: Send) -> None:
    """A problem document below the API, and words for people everywhere else."""
    answer = problem(status=413, code="too_large")
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
    content = answer.content
    if not scope.get("path", "").startswith(PREFIX):
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", b"default-src 'none'"),
        ]
        content = _WORDS
    headers += [(b"content-length", str(len(content)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": content})
