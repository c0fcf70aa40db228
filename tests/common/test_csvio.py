"""Tables as files: read as spreadsheets write them, written as a stream that none runs."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from apps.common import csvio
from apps.common.errors import Invalid
from apps.common.uploads import TooLarge


def read(body: bytes, most: int = 9) -> list[csvio.FileRow]:
    return csvio.read(body, ("a", "b"), needed=("a",), most=most, rows_in_words="Too many.")


@pytest.mark.parametrize("body", [b"a,b\n1,2\n", b"\xef\xbb\xbfB;A\r\n2;1\r\n", b"\n A\tb\n1\t2"])
def test_a_file_is_read_whatever_separates_it(body: bytes) -> None:
    (row,) = read(body)
    assert row.values == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_file"),
        (b"b\n1\n", "csv_columns"),
        (b"a\n\xff\n", "csv_encoding"),
        (b'a\n"1\n', "csv_invalid"),
        (b"a\n1\n2\n", "too_many_items"),
    ],
)
def test_a_file_that_is_none_is_refused_with_why(body: bytes, code: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(body, most=1)
    assert raised.value.code == code


def test_what_a_spreadsheet_would_run_is_kept_as_text() -> None:
    rows = [{"a": "=1+1", "b": -5}, {"a": {"x": "é"}, "b": None}, {"a": ["-1"], "b": "@x"}]
    text = b"".join(csvio.export(rows, ("a", "b"))).decode()
    assert text.splitlines() == ["a,b", "'=1+1,-5", '"{""x"": ""é""}",', '"[""-1""]",\'@x']
    lines = b"".join(csvio.export(rows, ("a", "b"), format="jsonl")).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows


@pytest.mark.parametrize(
    "text",
    [
        "x;=cmd", "x;=1+1;y", "x; @SUM(1)", 'x;"=1+1', "x\n-2+3", "x\r\n+1", "x\t=1",
        ";;=1", "=1;=2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_separates_cells(text: str, delimiter: str) -> None:
    rows = [{"id": 1, "a": text, "b": {"note": text}}]
    written = b"".join(csvio.export(rows, ("id", "a", "b"))).decode()
    cells = [
        cell.strip(' "')
        for line in csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)
        for cell in line
    ]
    assert cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_what_is_no_formula_stays_as_it_is() -> None:
    text = "Ana; Rui - 5 = 3\nand more; a+b, -1"
    (line,) = csv.DictReader(
        io.StringIO(b"".join(csvio.export([{"a": text}], ("a",))).decode(), newline="")
    )
    assert line["a"] == text


def test_it_is_read_while_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvio, "PART", 2)
    asked: list[int | None] = []

    def part(last: int | None, most: int) -> list[int]:
        asked.append(last)
        return list(range(last or 0, 5))[:most] if last is None else list(range(last + 1, 5))[:most]

    def rows() -> Iterator[dict[str, Any]]:
        return ({"a": number} for number in csvio.in_parts(part))

    pieces = csvio.export(rows(), ("a",))
    assert next(pieces) == b"a\r\n0\r\n"
    assert asked == [None]
    assert b"".join(pieces) == b"1\r\n2\r\n3\r\n4\r\n"
    assert asked == [None, 1, 3]


# --- JSON lines -----------------------------------------------------------------------------------
def lines(*chunks: bytes, most: int = 9, most_bytes: int = 10**7) -> Iterator[csvio.JsonRow]:
    return csvio.read_json_lines(
        chunks, most=most, most_bytes=most_bytes, rows_in_words="Too many."
    )


def test_json_lines_keep_exact_numbers_and_where_they_stand() -> None:
    body = b'\xef\xbb\xbf{"a": 0.10, "b": 12}\r\n\n  \n["x"]\n"y"\nnull'
    assert [(row.line, row.values) for row in lines(body)] == [
        (1, {"a": Decimal("0.10"), "b": 12}), (4, ["x"]), (5, "y"), (6, None),
    ]  # fmt: skip


def test_chunks_may_end_anywhere() -> None:
    body = '{"a": "é"}\n{"a": "ü"}\n'.encode()
    expected = [(1, {"a": "é"}), (2, {"a": "ü"})]
    for size in range(1, len(body) + 1):
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        assert [(row.line, row.values) for row in lines(*chunks)] == expected


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense", "json_invalid"),
        (b'{"a": 1', "json_invalid"),
        (b'{"a": NaN}', "json_invalid"),
        (b'{"a": -Infinity}', "json_invalid"),
        (b'{"a": 1, "a": 2}', "json_invalid"),
        (b'{"x": {"a": 1, "a": 2}}', "json_invalid"),
        (b'{"a": ' + b"9" * 5000 + b"}", "json_invalid"),
        (b'{"a": 1e999999999}', "json_invalid"),
        (b'{"a": -1e-999999999}', "json_invalid"),
        (b'{"a": 1e99999999999999999999}', "json_invalid"),
        (b"[" * 33 + b"1" + b"]" * 33, "json_invalid"),
        (b"[" * 30_000, "json_invalid"),
        (b'{"a": "\xff"}', "json_invalid"),
        (b'{"a": "\x00"}', "json_invalid"),
        (b"\xff\xfe{\x00}\x00", "json_invalid"),
        (b"{\x00}\x00", "json_invalid"),
        (b'{"a": "\\u0000"}', "invalid_text"),
        (b'{"a": "\\ud800"}', "invalid_text"),
        (b'{"a": "' + b"x" * 2**20 + b'"}', "line_too_long"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value[:24]),
)
def test_a_line_that_is_hostile_is_refused_with_its_number(line: bytes, code: str) -> None:
    read = lines(b'{"a": 1}\n\n' + line + b'\n{"a": 2}')
    assert next(read).line == 1
    with pytest.raises(Invalid) as raised:
        next(read)
    assert (raised.value.code, raised.value.extra) == (code, {"line": 3})
    assert raised.value.detail.startswith("Line 3")


def test_a_long_line_is_refused_before_its_end_has_come() -> None:
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"[" * 4096

    with pytest.raises(Invalid) as raised:
        list(csvio.read_json_lines(endless(), most=1, most_bytes=10**9, rows_in_words=""))
    assert raised.value.code == "line_too_long"
    assert len(taken) <= 2 * csvio.LINE_BYTES // 4096


def test_files_have_limits_and_the_rows_before_stand() -> None:
    read = lines(b"1\n2\n3\n", most=2)
    assert [next(read).values, next(read).values] == [1, 2]
    with pytest.raises(Invalid, match=r"Too many\."):
        next(read)
    with pytest.raises(TooLarge):
        list(lines(b"1\n", b"2\n", most_bytes=3))
    for empty in ((), (b"",), (b"\n \n",), (b"\xef\xbb\xbf",)):
        with pytest.raises(Invalid) as raised:
            list(lines(*empty))
        assert raised.value.code == "empty_file"


def test_what_was_written_is_read_again_with_amounts_as_text() -> None:
    rows = [{"id": UUID(int=7), "at": datetime(2026, 3, 1, tzinfo=UTC), "amount": Decimal("1E+3")}]
    body = b"".join(csvio.export(rows, ("id", "at", "amount"), format="jsonl"))
    (row,) = lines(body)
    assert row.values == {
        "id": "00000000-0000-0000-0000-000000000007",
        "at": "2026-03-01T00:00:00+00:00",
        "amount": "1000",
    }
    for nan in (float("nan"), Decimal("NaN")):
        with pytest.raises(ValueError):
            list(csvio.export([{"a": nan}], ("a",), format="jsonl"))
