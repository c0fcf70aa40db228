"""Files of rows that the trail tells of."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpRequest, StreamingHttpResponse

from apps.audit.contracts import Actor
from apps.audit.services import entry_record
from apps.common.csvio import FORMATS, export, in_parts, newest_numbers
from apps.web.downloads import attachment


def recorded_export(
    request: HttpRequest,
    rows: Any,
    columns: Sequence[str],
    record_of: Callable[[Any], Mapping[str, Any]],
    *,
    name: str,
    by: Actor,
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
