"""A text in all the ways in which another program may write it: as it is, in other letters, quoted
for addresses, JSON, HTML or a shell, in base64 at any place of something longer, in hex."""

import base64
import html
import re
from collections.abc import Iterable, Iterator
from re import Pattern

#: What may stand between two characters of base64: a line's end, also as JSON writes it.
_BREAK = r"(?:[\r\n]|\\\\*[rn])*"
_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}


def pattern_of(texts: Iterable[str]) -> Pattern[str]:
    """Return what finds each of the texts, however it is spelled."""
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(form for text in longest_first for form in _forms(text)))


def _forms(text: str) -> Iterator[str]:
    # UTF-8 that was read byte by byte, perhaps twice.
    once = text.encode().decode("latin-1")
    for read in dict.fromkeys((text, once, once.encode().decode("latin-1"))):
        yield "".join(map(_character, read))
    raw = text.encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        # The first and the last character belong in part to what stands beside the text.
        whole = coded[(0, 2, 3)[before] : len(coded) - bool((before + len(raw)) % 3)]
        yield _BREAK.join(map(_base64, whole))
    yield "[: ]?".join(map(_hex, raw))


def _character(one: str) -> str:
    forms = list(_written(one))
    for other in {one.lower(), one.upper()} - {one}:
        # Nobody escapes the letters of ASCII and makes others of them.
        forms += [re.escape(other)] if other.isascii() or len(other) > 1 else _written(other)
    return f"(?:{'|'.join(forms)})"


def _written(one: str) -> Iterator[str]:
    raw, code = one.encode(), ord(one)
    yield re.escape(one)
    # As it is behind any number of backslashes, or as one of JSON's and Python's escapes.
    wide = one.encode("utf-16-be")
    units = (int.from_bytes(wide[at : at + 2]) for at in range(0, len(wide), 2))
    yield "".join(rf"\\\\*u{_any_case(f'{unit:04x}')}" for unit in units)
    yield "".join(rf"\\\\*x{_hex(byte)}" for byte in raw)
    if not one.isalnum():
        yield rf"\\\\*{_ESCAPES.get(one) or re.escape(one)}"
    yield "".join(f"%(?:25)*{_hex(byte)}" for byte in raw)
    yield from (rf"&(?:amp;)*#0*{code};", f"&(?:amp;)*#[xX]0*{_any_case(f'{code:x}')};")
    if (named := html.escape(one)) != one:
        yield f"&(?:amp;)*{named[1:]}"
    if one == " ":
        yield r"\+"


def _base64(one: str) -> str:
    match one:
        case "+":
            return "(?:[+-]|%2[bB])"
        case "/":
            return r"(?:[/_]|\\\\*/|%2[fF])"
    return one


def _hex(byte: int) -> str:
    return _any_case(f"{byte:02x}")


def _any_case(text: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in text)
