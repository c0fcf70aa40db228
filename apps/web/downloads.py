"""Files that are made while they are sent, in parts that fit the memory."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connection, transaction
from django.http import HttpRequest, StreamingHttpResponse

from apps.audit.services import entry_record
from apps.common.csvio import FORMATS, export, in_parts, newest_numbers

if TYPE_CHECKING:
    from apps.accounts.models import User


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


def recorded_export(
    request: HttpRequest,
    rows: Any,
    columns: Sequence[str],
    record_of: Callable[[Any], Mapping[str, Any]],
    *,
    name: str,
    by: "User",
    via: str,
    body: Mapping[str, Any],
    up_to: str,
    format: str = "csv",
    newest: Callable[[], int] | None = None,
    part: Callable[[Any, Any, int], list[Any]] = newest_numbers,
    **subject: str,
) -> StreamingHttpResponse:
    """The rows that exist now, newest first, as a file. Recorded before the first byte is sent.

    `record_of` says a row's values by the names of the columns. `subject` and `body` are those of
    the audit entry, where `up_to` names the newest row: the newest of them, or what `newest` says.
    `part(rows, last, most)` reads the next rows, as `in_parts` wants them.
    """
    with transaction.atomic(durable=True):
        # What comes later is no part of it, least of all the record of the export itself.
        last = newest() if newest else rows.order_by("-pk").values_list("pk", flat=True).first()
        told = {**body, up_to: last or 0}
        entry_record(**subject, by=by, via=via, body=told)
    records = map(record_of, in_parts(partial(part, rows.filter(pk__lte=last or 0))))
    parts = export(records, columns, format=format)
    return attachment(request, parts, name=f"{name}.{format}", content_type=FORMATS[format])


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
