"""Tables as files: CSV as spreadsheets write it and JSON lines, read and written as a stream."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from apps.common.errors import Invalid
from apps.common.strict_json import exact_document_of
from apps.common.uploads import TooLarge, size_in_words

#: Comma, semicolon (where the comma is the decimal sign) and tab (copied from a sheet).
_DELIMITERS = (",", ";", "\t")
_NAME_LIMIT = 40
#: Format → media type.
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
#: Rows that are read, and in memory, at a time.
PART = 1000
#: Of JSON lines: bytes of one line, and lists and objects inside each other.
LINE_BYTES, MOST_DEPTH = 64 * 1024, 32
#: A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Row = TypeVar("Row")


@dataclass(frozen=True)
class FileRow:
    """A row of a file; `line`: where it begins, from 1."""

    line: int
    values: Any


class CsvRow(FileRow):
    """Texts, as people wrote them, by the names of the columns; the fields as they stand there in
    a row that has not as many as the head."""


class JsonRow(FileRow):
    """What a line of JSON says, usually an object: a number with a point is a Decimal."""


def read(
    body: bytes, columns: Sequence[str], *, needed: Sequence[str], most: int, rows_in_words: str
) -> list[FileRow]:
    """The rows of a CSV file in UTF-8 whose first line names the columns, in any order and case.

    `columns` are those that may stand there, `needed` those that must; separated by comma,
    semicolon or tab; blank lines are passed over. A row of another width keeps its fields as a
    list. Invalid `empty_file`, `csv_encoding` (extra line), `csv_columns` (extra columns: those
    that are not known, named twice or missing), `csv_invalid` (extra line), `too_many_items`
    beyond `most` rows, which are called `rows_in_words` then.
    """
    text = _text(body)
    head_line = text.lstrip("\r\n").splitlines()[0]
    delimiter = max(_DELIMITERS, key=head_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[FileRow] = []
    head: list[str] = []
    begins = 1
    try:
        for values in reader:
            line, begins = begins, reader.line_num + 1
            if not any(value.strip() for value in values):
                continue
            if not head:
                head = _head(values, columns, needed)
                continue
            same = len(values) == len(head)
            rows.append(CsvRow(line, dict(zip(head, values, strict=True)) if same else values))
            if len(rows) > most:
                raise Invalid(rows_in_words, code="too_many_items")
    except csv.Error as error:
        line = reader.line_num
        raise Invalid(f"Line {line}: {error}.", code="csv_invalid", line=line) from None
    return rows


def read_json_lines(
    chunks: Iterable[bytes], *, most: int, most_bytes: int, rows_in_words: str
) -> Iterator[JsonRow]:
    """The rows of a file of JSON documents, one a line, read as its chunks come.

    UTF-8; blank lines are passed over. Invalid `empty_file`, `line_too_long` (LINE_BYTES),
    `json_invalid` (no JSON, NaN, a member named twice, deeper than MOST_DEPTH), `invalid_text`,
    all with the line as extra; `too_many_items` beyond `most` rows, which are called
    `rows_in_words` then; TooLarge beyond `most_bytes`. The rows before stand: it is a generator.
    """
    number = 0
    for line, raw in _lines(chunks, most_bytes):
        if not raw.strip():
            continue
        number += 1
        if number > most:
            raise Invalid(rows_in_words, code="too_many_items")
        yield JsonRow(line, _document(raw, line))
    if not number:
        raise Invalid("The file is empty.", code="empty_file")


def _document(raw: bytes, line: int) -> Any:
    try:
        return exact_document_of(raw.decode(), most_depth=MOST_DEPTH)
    except Invalid as refusal:
        raise Invalid(f"Line {line}: {refusal.detail}", code=refusal.code, line=line) from None
    except UnicodeDecodeError:
        why = "is not UTF-8"
    except json.JSONDecodeError as error:
        why = f"is not JSON: {error.msg}, column {error.colno}"
    except ValueError as error:
        why = str(error) if str(error).startswith(("is ", "names ")) else "is not JSON"
    raise Invalid(f"Line {line} {why}.", code="json_invalid", line=line)


def _lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers; no more than a chunk and a line is kept."""
    size, line, begun = 0, 1, b""
    for chunk in chunks:
        size += len(chunk)
        if size > most_bytes:
            raise TooLarge(f"A file may have at most {size_in_words(most_bytes)}.", most=most_bytes)
        *whole, begun = (begun + chunk).split(b"\n")
        for raw in whole:
            yield line, _bounded(raw, line)
            line += 1
        _bounded(begun, line)
    yield line, _bounded(begun, line)


def _bounded(raw: bytes, line: int) -> bytes:
    if len(raw) > LINE_BYTES:
        words = f"Line {line} is longer than {size_in_words(LINE_BYTES)}."
        raise Invalid(words, code="line_too_long", line=line)
    return raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise Invalid(
            f"Line {line} is not UTF-8: save the file as CSV UTF-8.", code="csv_encoding", line=line
        ) from None
    if not text.strip():
        raise Invalid("The file is empty.", code="empty_file")
    return text


def _head(values: list[str], columns: Sequence[str], needed: Sequence[str]) -> list[str]:
    names = [value.strip().lower() for value in values]
    unknown = [name for name in names if name not in columns]
    twice = sorted({name for name in names if names.count(name) > 1} - set(unknown))
    missing = [name for name in needed if name not in names]
    if not unknown and not twice and not missing:
        return names
    optional = [name for name in columns if name not in needed]
    told = " ".join(
        f"{what}: {', '.join(map(_readable, those[:10]))}."
        for what, those in (
            ("Not known", unknown),
            ("Named twice", twice),
            ("Missing", missing),
        )
        if those
    )
    wanted = ", ".join(needed)
    if optional:
        wanted += f" and, if you want, {', '.join(optional)}"
    raise Invalid(
        f"The first line names the columns: {wanted}. {told}",
        code="csv_columns",
        columns=[_readable(name) for name in (*unknown, *twice, *missing)][:10],
    )


def _readable(name: str) -> str:
    """The name of a column as it came, if people can read it."""
    if not name:
        return "a column without a name"
    short = name[:_NAME_LIMIT] + ("…" if len(name) > _NAME_LIMIT else "")
    return f"“{short}”" if short.isprintable() else f"“{ascii(short)[1:-1]}”"


# --- out -----------------------------------------------------------------------------------------
def in_parts(read: Callable[[Row | None, int], list[Row]]) -> Iterator[Row]:
    """The rows that `read(last row or None, how many at most)` gives, until it gives fewer.

    Short statements, not one long one: an export of millions must neither fill the memory nor hold
    a snapshot.
    """
    place: Row | None = None
    while True:
        rows = read(place, PART)
        yield from rows
        if len(rows) < PART:
            return
        place = rows[-1]


def newest_numbers(rows: Any, last: Any, most: int) -> list[Any]:
    """The next of the rows, from the newest number (primary key) down; `in_parts` reads so."""
    following = rows if last is None else rows.filter(pk__lt=last.pk)
    return list(following.order_by("-pk")[:most])


def by_number(rows: Any) -> Iterator[Any]:
    """The numbered rows in their order, read in parts: for a file that is made while it is sent."""

    def part(last: Any, most: int) -> list[Any]:
        following = rows if last is None else rows.filter(number__gt=last.number)
        return list(following.order_by("number")[:most])

    return in_parts(part)


def export(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    format: str = "csv",
    for_spreadsheets: bool = False,
) -> Iterator[bytes]:
    """A file of the rows, PART of them a piece, made while it is sent.

    `csv`: the columns, then their values; a text that a spreadsheet would run is kept as text by an
    apostrophe before it, documents are JSON. `jsonl`: a JSON object a line, nothing changed but
    amounts, ids and moments, which are texts; ValueError for NaN.
    `for_spreadsheets` begins with the mark by which they know UTF-8.
    """
    writer = _csv_lines if format == "csv" else _json_lines
    if for_spreadsheets:
        yield codecs.BOM_UTF8
    lines = writer(rows, columns)
    while piece := list(islice(lines, PART)):
        yield "".join(piece).encode("utf-8", "replace")


def cell(value: Any) -> Any:
    """The value as a cell of a CSV file that no spreadsheet runs."""
    if value is not None and not isinstance(value, str | int | float | Decimal | UUID):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([cell(row[name]) for name in columns])


def _json_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    for row in rows:
        values = {name: row[name] for name in columns}
        yield json.dumps(values, ensure_ascii=False, allow_nan=False, default=_as_text) + "\n"


def _as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("no number")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


class _Echo:
    """Hands back what is written, so that a line is never kept."""

    def write(self, text: str) -> str:
        return text
