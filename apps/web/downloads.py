"""Files that are made while they are sent, in parts that fit the memory."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse


def attachment(
    request: HttpRequest, parts: Iterator[bytes], *, name: str, content_type: str
) -> StreamingHttpResponse:
    """The parts as a file of that name; each is made when the one before it was sent."""
    streamed = _in_threads(parts) if isinstance(request, ASGIRequest) else parts
    response = StreamingHttpResponse(streamed, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response


async def _in_threads(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same under ASGI, where a plain iterator would be read to its end before the first byte.

    Each part gives its connection back: the response outlives the request that Django closes for.
    """

    def following() -> bytes | None:
        try:
            return next(parts, None)
        finally:
            connection.close()

    step = sync_to_async(following, thread_sensitive=False)
    while (part := await step()) is not None:
        yield part
