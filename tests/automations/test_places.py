"""On which line a value stands: every pointer of random documents, and where texts go wrong."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.automations.places import DEEPEST, NotReadable, lines_of
from tests.automations.drawing import memory_below

MEGABYTE = 1_000_000


def wrong(text: str) -> tuple[int, int, str]:
    with pytest.raises(NotReadable) as raised:
        lines_of(text)
    return raised.value.line, raised.value.column, raised.value.detail


def escaped(name: str | int) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


# --- random documents -----------------------------------------------------------------------------
NAMES = st.text(st.sampled_from('ab/~01"\\é\n\t 节'), max_size=4)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def naive(value: Any, pointer: str = "", lines: list[str] | None = None) -> Iterator[Any]:
    """Yield each pointer and its line for `json.dumps(value, indent=1)`, written once more, line by
    line."""
    lines = [""] if lines is None else lines
    if pointer == "":
        yield "", 1
    members: list[Any] = []
    if isinstance(value, dict | list):
        members = list(value.items() if isinstance(value, dict) else enumerate(value))
    for name, below in members:
        lines.append("")
        yield f"{pointer}/{escaped(name)}", len(lines)
        yield from naive(below, f"{pointer}/{escaped(name)}", lines)
    if members:
        # The closing bracket has a line of its own.
        lines.append("")


@settings(max_examples=150, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_pointer_of_a_document_leads_to_its_line(
    value: Any, as_ascii: bool, line_end: str
) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=as_ascii)
    assert list(lines_of(text.replace("\n", line_end)).items()) == list(naive(value))
    flat = lines_of(json.dumps(value, ensure_ascii=as_ascii))
    assert list(flat) == [pointer for pointer, _line in naive(value)]
    assert set(flat.values()) == {1}
    assert len(flat) == len(list(flat))


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('[]{},:"1e.-+\\un\n\r tabcfrulse'), max_size=12))
def test_it_reads_what_the_standard_library_reads_and_nothing_else(text: str) -> None:
    try:
        json.loads(text, parse_constant=float.fromhex)
    except ValueError:
        line, column, _detail = wrong(text)
        there = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[line - 1]
        assert 1 <= column <= len(there) + 1
    else:
        assert lines_of(text)[""] >= 1


@settings(max_examples=100, deadline=None)
@given(VALUES, st.data())
def test_no_change_of_a_character_makes_it_fail_in_another_way(value: Any, data: Any) -> None:
    text = json.dumps(value, indent=1)
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at]
        + data.draw(st.sampled_from(["", '"', "]", "}", ",", "\\", "0", "\x00"]))
        + (text[at + 1 :])
    )
    try:
        json.loads(text)
    except ValueError:
        wrong(text)
    else:
        lines_of(text)


# --- lines ----------------------------------------------------------------------------------------
def test_a_member_is_on_the_line_of_its_name_and_the_document_where_it_begins() -> None:
    lines = lines_of('\n\n {"a"\n:\n[\n1, 2,\n{"b": \n true}], "c": 3}\n')
    assert dict(lines) == {
        "": 3,
        "/a": 3,
        "/a/0": 6,
        "/a/1": 6,
        "/a/2": 7,
        "/a/2/b": 7,
        "/c": 8,
    }


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('{"a/b": 1, "~": 2, "~1": 3, "": 4}', ["", "/a~1b", "/~0", "/~01", "/"]),
        ('{"\\u00e9\\n": {"\\ud83d\\ude00": 1}}', ["", "/é\n", "/é\n/😀"]),
        ('{"节": [[], {}]}', ["", "/节", "/节/0", "/节/1"]),
        (' "text\\n" ', [""]),
        ("-1.5e+3", [""]),
    ],
)
def test_pointers_are_written_as_in_the_standard(text: str, pointers: list[str]) -> None:
    lines = lines_of(text)
    assert list(lines) == pointers
    assert all(lines[pointer] == 1 for pointer in pointers)


def test_of_members_with_the_same_name_the_last_counts() -> None:
    lines = lines_of('{"a": {"x": 1},\n"b": 2,\n"\\u0061": {"y": 1}}')
    assert dict(lines) == {"": 1, "/a": 3, "/a/y": 3, "/b": 2}


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    lines = lines_of('{"nodes": [\n1,\n{"id": "a",\n"data": {}}\n]}')
    for pointer, line in {
        "/nodes/1/data/url": 4,
        "/nodes/1/data/url/deeper": 4,
        "/nodes/1/type": 3,
        "/nodes/2": 1,
        "/nodes/01": 1,
        "/nodes/-": 1,
        "/nodes/²": 1,
        "/nodes/" + "9" * 5000: 1,
        "/edges": 1,
        "nodes": 1,
    }.items():
        assert pointer not in lines
        assert lines.get(pointer) is None
        assert lines.nearest(pointer) == line
    assert lines.nearest("/nodes/1/data") == lines["/nodes/1/data"] == 4


# --- texts that cannot be read --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "A value is missing"),
        ("\n ", 2, 2, "A value is missing"),
        ('{\n "a": }', 2, 7, "A value is missing"),
        ("[1,\n2,\n]", 2, 2, "comma after the last"),
        ('{"a": 1,\r\n"b": 2 , }', 2, 8, "comma after the last"),
        ("[,1]", 1, 2, "A value is missing"),
        ("[1\n 2]", 1, 3, "A comma is missing"),
        ('{"a": 1\r"b": 2}', 1, 8, "A comma is missing"),
        ('{"a": "x""b": 2}', 1, 10, "A comma is missing"),
        ("[1}", 1, 3, "A comma or ] must stand"),
        ('{"a": 1]', 1, 8, "A comma or } must stand"),
        ('{"a" 1}', 1, 5, "A colon is missing"),
        ('{"\\n" 1}', 1, 6, "A colon is missing"),
        ("{a: 1}", 1, 2, "A name in double quotes"),
        ("{'a': 1}", 1, 2, "A name in double quotes"),
        ('{"a": 1, 2}', 1, 10, "A name in double quotes"),
        ("{", 1, 2, "A name in double quotes"),
        ("[", 1, 2, "A value is missing"),
        ('{"a": [1, 2', 1, 7, "The closing ] of this is missing"),
        ('\n{"a": [1, 2]\n', 2, 1, "The closing } of this is missing"),
        ('["a\n", 1]', 1, 2, "no end"),
        ('["a\\"]', 1, 2, "no end"),
        ('["a', 1, 2, "no end"),
        ('{"a', 1, 2, "no end"),
        ('["\\', 1, 2, "no end"),
        ('["a\tb"]', 1, 4, "control character"),
        ('["ab\\x"]', 1, 5, "no such escape"),
        ('["ab\\n\\u12G4"]', 1, 7, "no such escape"),
        ('["\\u12', 1, 3, "no such escape"),
        ("['a']", 1, 2, "a string is written in double quotes"),
        ("[True]", 1, 2, "no value"),
        ("[nulls]", 1, 2, "no value"),
        ("[NaN]", 1, 2, "no value"),
        ("\ufeff[]", 1, 1, "no value"),
        ("[-]", 1, 2, "not a number"),
        ("[01]", 1, 2, "not a number"),
        ("[1.]", 1, 2, "not a number"),
        ("[.5]", 1, 2, "not a number"),
        ("[+1]", 1, 2, "not a number"),
        ("[1e]", 1, 2, "not a number"),
        ("[1,\n// no\n2]", 2, 1, "no comments"),
        ("[] []", 1, 4, "Nothing may follow"),
        ("1 2", 1, 3, "Nothing may follow"),
        ("[1]]", 1, 4, "Nothing may follow"),
        ('"节😀" x', 1, 6, "Nothing may follow"),
    ],
)
def test_it_says_where_the_first_error_is(text: str, line: int, column: int, words: str) -> None:
    found = wrong(text)
    assert found[:2] == (line, column)
    assert words in found[2]


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_it_reads_as_deep_as_is_allowed_and_no_deeper(begin: str, end: str) -> None:
    assert len(lines_of(begin * DEEPEST + "1" + end * DEEPEST)) == DEEPEST + 1
    for inner in ("[]", "{}", "[1]", "[" * 100_000):
        line, column, detail = wrong(begin * DEEPEST + inner + end * DEEPEST)
        assert (line, column) == (1, len(begin) * DEEPEST + 1)
        assert "nested more than 200 deep" in detail


# --- hostile texts --------------------------------------------------------------------------------
AROUND = (f'{{"{"x" * 2_500}":' * (DEEPEST - 1) + "[", "}" * (DEEPEST - 1))


HOSTILE = {
    "numbers on lines": ("[", "1,\n", "1]"),
    "empty lists": ("[", "[],", "1]"),
    "objects": ("[", '{"":1},', "1]"),
    "long names around": (AROUND[0], "1,", f"1]{AROUND[1]}"),
    "deep": ("[" * DEEPEST, "1,", "1" + "]" * DEEPEST),
    "escapes": ('["', "\\n", '"]'),
    "escapes without an end": ('["', "\\n", ""),
    "escapes in a name": ('{"', "\\n", '":'),
    "digits": ("", "1", "x"),
    "digits after a point": ("1.", "1", "x"),
    "brackets": ("", "[", ""),
    "quotes": ("[", '"', ""),
    "spaces": ("[1", " ", ""),
    "empty lines": ("", "\r\n", ""),
}


@pytest.mark.parametrize(("begin", "part", "end"), HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_takes_time_by_its_length_only(begin: str, part: str, end: str) -> None:
    text = begin + part * (MEGABYTE // len(part)) + end
    began = time.process_time()
    try:
        lines = lines_of(text)
    except NotReadable as error:
        assert error.line >= 1
    else:
        assert lines[""] == lines.nearest("/x" * 1_000) == 1
        assert "/0/0/0" in lines or not begin.startswith("[[[")
    # A tenth of it on a machine that does nothing else.
    assert time.process_time() - began < 6


def test_long_names_around_many_values_do_not_fill_the_memory() -> None:
    # Written out, the pointers would have 20 GB.
    text = AROUND[0] + "1," * 40_000 + "1]" + AROUND[1]
    with memory_below(20_000_000):
        lines = lines_of(text)
        assert len(lines) == DEEPEST + 40_001
    assert lines[f"/{'x' * 2_500}" * (DEEPEST - 1) + "/40000"] == 1
