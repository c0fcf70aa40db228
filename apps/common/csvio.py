"""Tables as files: CSV as spreadsheets write it, read; CSV and JSON lines, written as a stream."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from apps.common.errors import Invalid

#: Comma, semicolon (where the comma is the decimal sign) and tab (copied from a sheet).
_DELIMITERS = (",", ";", "\t")
_NAME_LIMIT = 40
#: Format → media type.
FORMATS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
#: Rows that are read, and in memory, at a time.
PART = 1000
#: A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Row = TypeVar("Row")


@dataclass(frozen=True)
class CsvRow:
    """A row of a file that has as many fields as its head, or the fields as they stand there.

    `line`: where it begins, from 1.
    """

    line: int
    values: Any


def read(
    body: bytes, columns: Sequence[str], *, needed: Sequence[str], most: int, rows_in_words: str
) -> list[CsvRow]:
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
    rows: list[CsvRow] = []
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
    apostrophe before it, documents are JSON. `jsonl`: a JSON object a line, nothing changed.
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
        yield json.dumps({name: row[name] for name in columns}, ensure_ascii=False) + "\n"


class _Echo:
    """Hands back what is written, so that a line is never kept."""

    def write(self, text: str) -> str:
        return text
