"""Tables as files: CSV as spreadsheets write it, and JSON lines; read and written as a stream."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext

from apps.common.errors import Invalid
from apps.common.language import filled, later
from apps.common.language import lazy as _
from apps.common.strict_json import NotJson, exact_document_of
from apps.common.uploads import TooLarge, size_in_words

#: Comma, semicolon (where the comma is the decimal separator) and tab (copied from a spreadsheet).
_DELIMITERS = (",", ";", "\t")
_NAME_LIMIT = 40
#: Format → media type.
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
#: How many rows are read, and kept in memory, at a time.
PART = 1000
#: Limits of JSON lines: bytes per line, and nesting of lists and objects.
LINE_BYTES, MOST_DEPTH = 64 * 1024, 32
#: A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
#: Where a spreadsheet that separates by something else than the comma begins a cell, and would find
#: a formula there: it takes quotes inside its cell for a part of the text.
_FORMULA_INSIDE = re.compile(r"""(?!\A\t)([;\t\r\n])(?=["\s]*[=+\-@])""")

Row = TypeVar("Row")


@dataclass(frozen=True)
class FileRow:
    """A row of a file; `line`: the line where it begins, from 1."""

    line: int
    values: Any


class CsvRow(FileRow):
    """The texts by column name, as written; a list of the fields if their number differs from the
    header's."""


class JsonRow(FileRow):
    """The value of a line of JSON, usually an object: a number with a decimal point is a
    Decimal."""


def read(
    body: bytes, columns: Sequence[str], *, needed: Sequence[str], most: int, rows_in_words: str
) -> list[FileRow]:
    """Return the rows of a UTF-8 CSV file whose first line names the columns, in any order and
    case.

    `columns` may occur, `needed` must occur; the separator is comma, semicolon or tab; blank lines
    are skipped. A row with another number of fields keeps them as a list. Raises Invalid
    `empty_file`, `csv_encoding` (extra line), `csv_columns` (extra columns: those that are unknown,
    duplicate or missing), `csv_invalid` (extra line), `too_many_items` beyond `most` rows, with the
    text `rows_in_words`.
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
        raise Invalid(
            filled(_("Line {line}: {error}."), line=line, error=error),
            code="csv_invalid",
            line=line,
        ) from None
    return rows


def read_json_lines(
    chunks: Iterable[bytes], *, most: int, most_bytes: int, rows_in_words: str
) -> Iterator[JsonRow]:
    """Yield the rows of a file of JSON documents, one per line, while its chunks arrive.

    UTF-8; blank lines are skipped. Raises Invalid `empty_file`, `line_too_long` (LINE_BYTES),
    `json_invalid` (not JSON, NaN, a duplicate member, deeper than MOST_DEPTH), `invalid_text`, all
    with the line as extra; `too_many_items` beyond `most` rows, with the text `rows_in_words`;
    TooLarge beyond `most_bytes`. The rows before an error have been yielded by then.
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
        raise Invalid(_("The file is empty."), code="empty_file")


#: What `exact_document_of` objects to, by code.
_PROBLEMS = {
    "too_deep": _("Line {line} is nested too deeply."),
    "number_out_of_range": _("Line {line} has a number that is too large or too small."),
    "duplicate_key": _("Line {line} names a member twice."),
}


def _document(raw: bytes, line: int) -> Any:
    try:
        return exact_document_of(raw, most_depth=MOST_DEPTH)
    except Invalid as refusal:
        raise Invalid(
            filled(_("Line {line}: {detail}"), line=line, detail=refusal.detail),
            code=refusal.code,
            line=line,
        ) from None
    except NotJson as error:
        if known := _PROBLEMS.get(error.code):
            why = filled(known, line=line)
        elif _is_utf8(raw):
            why = filled(_("Line {line} is not JSON: {problem}."), line=line, problem=error)
        else:
            why = filled(_("Line {line} is not UTF-8."), line=line)
    raise Invalid(why, code="json_invalid", line=line)


def _lines(chunks: Iterable[bytes], most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers; keep no more than a chunk and a line."""
    size, line, begun = 0, 1, b""
    for chunk in chunks:
        size += len(chunk)
        if size > most_bytes:
            raise TooLarge(
                filled(
                    _("A file may have at most {size_in_words}."),
                    size_in_words=later(size_in_words, most_bytes),
                ),
                most=most_bytes,
            )
        *whole, begun = (begun + chunk).split(b"\n")
        for raw in whole:
            yield line, _bounded(raw, line)
            line += 1
        _bounded(begun, line)
    yield line, _bounded(begun, line)


def _bounded(raw: bytes, line: int) -> bytes:
    if len(raw) > LINE_BYTES:
        words = filled(
            _("Line {line} is longer than {size_in_words}."),
            line=line,
            size_in_words=later(size_in_words, LINE_BYTES),
        )
        raise Invalid(words, code="line_too_long", line=line)
    return raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise Invalid(
            filled(_("Line {line} is not UTF-8: save the file as CSV UTF-8."), line=line),
            code="csv_encoding",
            line=line,
        ) from None
    if not text.strip():
        raise Invalid(_("The file is empty."), code="empty_file")
    return text


def _head(values: list[str], columns: Sequence[str], needed: Sequence[str]) -> list[str]:
    names = [value.strip().lower() for value in values]
    unknown = [name for name in names if name not in columns]
    twice = sorted({name for name in names if names.count(name) > 1} - set(unknown))
    missing = [name for name in needed if name not in names]
    if not unknown and not twice and not missing:
        return names
    optional = [name for name in columns if name not in needed]
    raise Invalid(
        later(_head_in_words, needed, optional, unknown, twice, missing),
        code="csv_columns",
        columns=[_readable(name) for name in (*unknown, *twice, *missing)][:10],
    )


def _head_in_words(
    needed: Sequence[str],
    optional: Sequence[str],
    unknown: Sequence[str],
    twice: Sequence[str],
    missing: Sequence[str],
) -> str:
    """Say which columns the first line names, and what is wrong with it: whole sentences."""
    said = [
        gettext("The first line names the columns: {needed} and, if you want, {optional}.").format(
            needed=", ".join(needed), optional=", ".join(optional)
        )
        if optional
        else gettext("The first line names the columns: {needed}.").format(needed=", ".join(needed))
    ]
    said += [
        text.format(names=", ".join(map(_readable, those[:10])))
        for text, those in (
            (gettext("Not known: {names}."), unknown),
            (gettext("Named twice: {names}."), twice),
            (gettext("Missing: {names}."), missing),
        )
        if those
    ]
    return " ".join(said)


def _readable(name: str) -> str:
    """Return the column name as written, if it is printable."""
    if not name:
        return gettext("a column without a name")
    short = name[:_NAME_LIMIT] + ("…" if len(name) > _NAME_LIMIT else "")
    return f"“{short}”" if short.isprintable() else f"“{ascii(short)[1:-1]}”"


# --- writing -------------------------------------------------------------------------------------
def in_parts(read: Callable[[Row | None, int], list[Row]]) -> Iterator[Row]:
    """Yield the rows that `read(last row or None, limit)` returns, until it returns fewer.

    Uses short statements: an export of millions of rows must neither fill the memory nor hold a
    snapshot for long.
    """
    place: Row | None = None
    while True:
        rows = read(place, PART)
        yield from rows
        if len(rows) < PART:
            return
        place = rows[-1]


def newest_numbers(rows: Any, last: Any, most: int) -> list[Any]:
    """Return the next rows, the highest primary key first: a `read` function for `in_parts`."""
    following = rows if last is None else rows.filter(pk__lt=last.pk)
    return list(following.order_by("-pk")[:most])


def by_number(rows: Any) -> Iterator[Any]:
    """Yield numbered rows in order, read in parts, for a file that is generated while it is
    sent."""

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
    """Yield a file of the rows, PART of them at a time, while it is sent.

    `csv`: the columns, then their values; an apostrophe before what a spreadsheet would execute
    keeps it a text, at the beginning and where it would begin a cell at another separator than the
    comma; documents are JSON. `jsonl`: a JSON object per line, unchanged except for amounts, ids
    and times, which are texts; ValueError for NaN. `for_spreadsheets` writes the byte order mark by
    which they recognise UTF-8.
    """
    writer = _csv_lines if format == "csv" else _json_lines
    if for_spreadsheets:
        yield codecs.BOM_UTF8
    lines = writer(rows, columns)
    while piece := list(islice(lines, PART)):
        yield "".join(piece).encode("utf-8", "replace")


def cell(value: Any) -> Any:
    """Return the value as a CSV cell that no spreadsheet executes. Times are ISO 8601 with their
    zone."""
    if isinstance(value, date):
        return value.isoformat()
    if value is not None and not isinstance(value, str | int | float | Decimal | UUID):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if not isinstance(value, str):
        return value
    # With a semicolon between cells, quotes do not keep a text together: the line does not begin
    # with one. So what follows a separator is guarded as the beginning of a cell is.
    value = _FORMULA_INSIDE.sub(r"\1'", value)
    return f"'{value}" if value.startswith(_FORMULA) else value


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
    """Returns what is written instead of storing it."""

    def write(self, text: str) -> str:
        return text


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
