"""An ASGI wrapper that answers 413 to requests whose body is larger than the limit.

Django checks Content-Length only: a chunked body has none, and would be read whole into memory.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from apps.web.body_sizes import Roomier
from config.problems import PREFIX, problem

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]

#: How many times the limit is read and discarded, so that the browser shows the response.
DRAINED = 5
_WORDS = (
    b"<!doctype html><html lang=en><meta charset=utf-8>"
    b"<meta name=viewport content='width=device-width'><title>Too large</title>"
    b"<h1>That is more than this site takes</h1>"
    b"<p>Nothing was kept. Go back and choose a smaller file.</p>"
)


class _TooLargeError(Exception):
    """Raised into the application while it waits for more of the body."""


def limited(application: Application, *, most: int, roomier: Iterable[Roomier] = ()) -> Application:
    """Return `application`, answering 413 as soon as a body has more than `most` bytes, or more
    than the limit of a `roomier` URL."""
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
                # A browser that is still sending sees a reset connection instead of the response.
                await _drain(receive, most=room * DRAINED)
            if not started:
                await _refuse(scope, send)

    return guarded


async def _drain(receive: Receive, *, most: int) -> None:
    """Read and discard the rest of a form with files, up to `most` bytes."""
    while most > 0:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
        most -= len(message.get("body", b""))


async def _refuse(scope: dict[str, Any], send: Send) -> None:
    """Answer with a problem document below the API, and with a page everywhere else."""
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
