"""Streams generated files, part by part, so that memory use is bounded."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse


def attachment(
    request: HttpRequest, parts: Iterator[bytes], *, name: str, content_type: str
) -> StreamingHttpResponse:
    """Return the parts as a download of that name; each is generated after the one before was
    sent."""
    streamed = _in_threads(parts) if isinstance(request, ASGIRequest) else parts
    response = StreamingHttpResponse(streamed, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response


async def _in_threads(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Iterate in threads: under ASGI Django would read a plain iterator to its end before the first
    byte.

    Each part closes its database connection, because the response outlives the request's clean-up.
    """

    def following() -> bytes | None:
        try:
            return next(parts, None)
        finally:
            connection.close()

    step = sync_to_async(following, thread_sensitive=False)
    while (part := await step()) is not None:
        yield part
