"""The rows of a list as files: what the filters match and the user may see."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Protocol

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from apps.common import csvio, exact_json, xlsx
from apps.common.errors import Invalid, TooMany
from apps.common.pagination import parts
from apps.web.downloads import attachment
from apps.web.tables import Column, file_columns, record

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User

#: Format → media type.
FORMATS = {"csv": csvio.FORMATS["csv"], "xlsx": xlsx.MEDIA_TYPE}
#: The format of rows with their contents, for lists that have it.
LINES = "jsonl"
#: Format → the most rows of a file. An Excel file is made as a whole before it is sent.
MOST_ROWS = {"csv": 1_000_000, "xlsx": 100_000, LINES: 100_000}
#: Rows with contents are read so many at a time.
LINES_PART = 50
#: A person may export so many lists in so long.
MOST_EXPORTS, EXPORTS_WITHIN = 20, timedelta(minutes=10)


#: So many Excel files are made side by side in a process: each holds a thread and a connection to
#: the database until it is whole. A CSV file holds them for a part at a time.
MOST_AT_ONCE = 2
#: Whoever finds no place may ask again after so many seconds.
ASK_AGAIN = 60


class Recorder(Protocol):
    """Audits exports. `check` and `begin` raise TooMany beyond MOST_EXPORTS; `end` follows the last
    row."""

    def check(self, *, by: "User") -> None: ...

    def begin(self, *, by: "User", name: str, body: Mapping[str, Any]) -> None: ...

    def end(self, *, by: "User", name: str, body: Mapping[str, Any]) -> None: ...


_recorders: list[Recorder] = []
_places = BoundedSemaphore(MOST_AT_ONCE)


class _Place:
    """One of the places of `_places`, or none. It is given back once: at the latest when nobody
    holds it any more, as of a file that nobody has begun to read."""

    def __init__(self) -> None:
        self._of = _places
        self.held = self._of.acquire(blocking=False)

    def free(self) -> None:
        held, self.held = self.held, False
        if held:
            self._of.release()

    __del__ = free


def record_with(recorder: Recorder) -> None:
    """Audit exports with this recorder; apps below `apps.audit` cannot call it themselves."""
    _recorders[:] = [recorder]


def send(
    request: HttpRequest,
    rows: "QuerySet[Any]",
    columns: Sequence[Column],
    *,
    name: str,
    order: str,
    format: str,
    by: "User",
    filters: Mapping[str, Any],
    complete: Callable[[list[Any]], None] | None = None,
    line: Callable[[Any], dict[str, Any]] | None = None,
) -> StreamingHttpResponse:
    """Return the rows in that order as an attachment, read a part at a time. `line` gives a row's
    object in JSON lines, whose numbers keep every digit.

    Audited before the first byte (`list.export`), and once more with the number of rows after the
    last (`list.exported`): an export without the second entry was broken off. So was its file: the
    connection ends without the end of the answer, and an Excel file cannot be opened. Raises
    TooMany `too_many_exports`, before the rows cost a query, Invalid `too_many_rows`, and TooMany
    `exports_busy` when MOST_AT_ONCE Excel files are being made.
    """
    (recorder,) = _recorders
    recorder.check(by=by)
    most = MOST_ROWS[format]
    # Looks for one row beyond the most, instead of counting all.
    if rows.order_by()[most : most + 1].exists():
        raise Invalid(_too_many(format), code="too_many_rows", most=most)
    place = _place() if format == "xlsx" else None
    names = file_columns(columns)
    size = csvio.PART if line is None else LINES_PART
    told = {"format": format, "filters": dict(filters), "order": order}
    recorder.begin(by=by, name=name, body=told)

    def records() -> Iterator[dict[str, Any]]:
        number = 0
        for part in parts(rows, order=order, size=size):
            if complete:
                complete(part)
            for row in part:
                yield line(row) if line else record(row, columns, names)
            number += len(part)
        recorder.end(by=by, name=name, body={**told, "rows": number})

    written: Iterator[bytes]
    if line is not None:
        written = (f"{exact_json.written(one)}\n".encode() for one in records())
    elif place is not None:
        written = _holding(place, xlsx.export(records(), names))
    else:
        written = csvio.export(records(), names)
    stamp = f"{timezone.now():%Y%m%d-%H%M%S}"
    return attachment(
        request,
        written,
        name=f"{name}-{stamp}.{format}",
        content_type=csvio.FORMATS[LINES] if line else FORMATS[format],
    )


def _place() -> _Place:
    place = _Place()
    if not place.held:
        raise TooMany(
            gettext(
                "Other Excel files are being made. Try again in a minute, or take the CSV file."
            ),
            code="exports_busy",
            retry_after=ASK_AGAIN,
        )
    return place


def _holding(place: _Place, file: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the file, which is made as a whole before its first part; then free the place."""
    try:
        for part in file:
            place.free()
            yield part
    finally:
        place.free()


def _too_many(format: str) -> str:
    if format == "xlsx":
        return gettext(
            "The filters match more than the {xlsx:,} rows of an Excel file. Narrow "
            "them, or take the CSV file."
        ).format(xlsx=MOST_ROWS["xlsx"])
    return gettext("The filters match more than the {csv:,} rows of a file. Narrow them.").format(
        csv=MOST_ROWS["csv"]
    )
