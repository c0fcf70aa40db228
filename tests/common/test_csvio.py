"""Tables as files: read as spreadsheets write them, written as a stream that none runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from apps.common import csvio
from apps.common.errors import Invalid


def read(body: bytes, most: int = 9) -> list[csvio.CsvRow]:
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
