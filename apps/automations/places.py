"""On which line of a JSON text each value stands: what is wrong with a document is shown beside it.
Standard library only.

Time and memory grow with the text alone, however deep it is nested and however long its names are:
pointers are looked up, never all written out.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn, TypeAlias

#: The most lists and objects within each other.
DEEPEST = 200

#: A browser's textarea ends a line with any of them.
_BREAK = re.compile(r"\r\n|\n|\r")
_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
#: A value of one piece. A string with escapes is left to the decoder.
_DECODER = JSONDecoder()
_SCALAR = re.compile(
    r'"[^"\\\x00-\x1f]*"'
    r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.+-])"
    r"|(?:true|false|null)\b"
)
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")

#: The line of a value, and the values in it as a list or a dict.
_Place: TypeAlias = tuple[int, Any]
_NOTHING: list[_Place] = []


class NotReadable(ValueError):
    """A text is not JSON, or is nested too deep: the place of its first error, line and column
    from 1, in characters, and what is wrong there, in English."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        super().__init__(f"line {line}, column {column}: {detail}")
        self.line, self.column, self.detail = line, column, detail


class Lines(Mapping[str, int]):
    """Line numbers from 1 by JSON pointer (RFC 6901), in the order of the text.

    A member of an object is on the line of its name; "" is the document. Of members with the same
    name the last counts, as for `json.loads`.
    """

    def __init__(self, document: _Place) -> None:
        self._document = document

    def __getitem__(self, pointer: str) -> int:
        line, found = self._walk(pointer)
        if not found:
            raise KeyError(pointer)
        return line

    def nearest(self, pointer: str) -> int:
        """Return the line of the value, or of the innermost one around it that is in the text: what
        is missing has no line of its own."""
        return self._walk(pointer)[0]

    def __iter__(self) -> Iterator[str]:
        waiting = [("", self._document)]
        while waiting:
            pointer, place = waiting.pop()
            yield pointer
            waiting.extend(
                (f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", inner)
                for name, inner in reversed(_members(place))
            )

    def __len__(self) -> int:
        count, waiting = 0, [self._document]
        while waiting:
            count += 1
            waiting.extend(inner for _name, inner in _members(waiting.pop()))
        return count

    def _walk(self, pointer: str) -> tuple[int, bool]:
        """Return the line of the last value on the way there, and whether that is the end."""
        place = self._document
        begin, *names = pointer.split("/")
        for name in names:
            inner = None if begin else _member(place, name)
            if inner is None:
                return place[0], False
            place = inner
        return place[0], not begin


def _members(place: _Place) -> list[tuple[str, _Place]]:
    if isinstance(place[1], dict):
        return list(place[1].items())
    return [(str(index), inner) for index, inner in enumerate(place[1])]


def _member(place: _Place, name: str) -> _Place | None:
    """Return what is in the value by that part of a pointer."""
    inner = place[1]
    if isinstance(inner, dict):
        return inner.get(name.replace("~1", "/").replace("~0", "~"))
    index = int(name) if _INDEX.match(name) else len(inner)
    return inner[index] if index < len(inner) else None


# --- reading --------------------------------------------------------------------------------------
def lines_of(text: str) -> Lines:
    """Return on which line each value of a JSON text stands. Raises NotReadable."""
    starts = [0, *(found.end() for found in _BREAK.finditer(text))]
    try:
        return Lines(_Reader(text, [*starts[1:], len(text) + 1]).document())
    except _Wrong as wrong:
        at, detail = wrong.args
    line = bisect_right(starts, at)
    raise NotReadable(line, at - starts[line - 1] + 1, detail)


class _Wrong(Exception):
    """At which character something is wrong, and what."""


class _Reader:
    """A text as far as it is read: up to which character, on which line, in which list or object.
    `ends`: the first character after each line."""

    def __init__(self, text: str, ends: list[int]) -> None:
        self.text, self.ends = text, ends
        self.at = _skip(text, 0)
        #: All values of a line that hold no others are this one.
        self.here: _Place = (1, _NOTHING)
        self.inner: Any = []
        #: The lists and objects around that one, and where the one in it begins.
        self.around: list[tuple[Any, int]] = []

    def document(self) -> _Place:
        while self._opens() or self._continues():
            pass
        end = _skip(self.text, self.at)
        if end < len(self.text):
            raise _Wrong(end, "Nothing may follow the document.")
        return self.inner[0]

    def _opens(self) -> bool:
        """Read a value, or the beginning of one that holds others; return whether it was that."""
        text, at, around = self.text, self.at, self.inner
        line = self.here[0]
        while at >= self.ends[line - 1]:
            line += 1
        if line > self.here[0]:
            self.here = (line, _NOTHING)
        place = self.here
        name = None
        if isinstance(around, dict):
            name, at = _name(text, at)
        first = text[at : at + 1]
        if first == "[" or first == "{":
            if len(self.around) == DEEPEST:
                raise _Wrong(at, f"This is nested more than {DEEPEST} deep.")
            self.at = _skip(text, at + 1)
            if text[self.at : self.at + 1] == ("]" if first == "[" else "}"):
                self.at += 1
            else:
                self.around.append((around, at))
                place = (line, [] if first == "[" else {})
                self.inner = place[1]
        else:
            found = _SCALAR.match(text, at)
            self.at = found.end() if found else _string(text, at)[1]
        if name is None:
            around.append(place)
        else:
            around[name] = place
        return self.inner is not around

    def _continues(self) -> bool:
        """Read what stands after a value, and the ends of lists and objects; return whether another
        value follows."""
        text = self.text
        while self.around:
            end, closing = self.at, "}" if isinstance(self.inner, dict) else "]"
            at = self.at = _skip(text, end)
            after = text[at : at + 1]
            if after == ",":
                self.at = _skip(text, at + 1)
                if text[self.at : self.at + 1] == closing:
                    raise _Wrong(at, "There is a comma after the last one.")
                return True
            if not after:
                raise _Wrong(self.around[-1][1], f"The closing {closing} of this is missing.")
            if after != closing:
                if after in "]}:":
                    raise _Wrong(at, f"A comma or {closing} must stand here instead.")
                raise _Wrong(end, "A comma is missing after this value.")
            self.inner = self.around.pop()[0]
            self.at += 1
        return False


def _skip(text: str, at: int) -> int:
    """Return where the next character stands that is no space."""
    if text[at : at + 1] > " ":
        return at
    return space.end() if (space := _SPACE.match(text, at)) else at


def _name(text: str, at: int) -> tuple[str, int]:
    """Return a member's name, and where its value begins."""
    if plain := _PLAIN_NAME.match(text, at):
        return plain[1], plain.end()
    if text[at : at + 1] != '"':
        raise _Wrong(at, "A name in double quotes is missing here.")
    name, end = _string(text, at)
    at = _skip(text, end)
    if text[at : at + 1] != ":":
        raise _Wrong(end, "A colon is missing after the name.")
    return name, _skip(text, at + 1)


def _string(text: str, at: int) -> tuple[str, int]:
    """Return the string and where it ends; if there is none, raise what is wrong there."""
    if text[at : at + 1] != '"':
        _no_value(text, at)
    try:
        return _DECODER.raw_decode(text, at)
    except JSONDecodeError as error:
        message, place = error.msg, error.pos
    if message.startswith("Unterminated") or text[place : place + 1] in ("\n", "\r"):
        raise _Wrong(at, "This string has no end: its closing quote is missing.")
    if message.startswith("Invalid control"):
        raise _Wrong(place, "A string holds a control character: write it as an escape.")
    # The error of an escape names one of its characters, not always the first.
    raise _Wrong(text.rfind("\\", at, place + 1), "JSON has no such escape.")


def _no_value(text: str, at: int) -> NoReturn:
    first = text[at : at + 1]
    if not first or first in ",:]}":
        raise _Wrong(at, "A value is missing here.")
    if text.startswith(("//", "/*", "#"), at):
        raise _Wrong(at, "JSON has no comments.")
    if first in "-+." or "0" <= first <= "9":
        raise _Wrong(at, "This is not a number as JSON writes it.")
    raise _Wrong(at, "This is no value: a string is written in double quotes.")
