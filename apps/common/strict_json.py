"""JSON as in RFC 8259, without NaN or Infinity, and without text that PostgreSQL cannot store."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.common.errors import Invalid
from apps.common.language import lazy as _


def document_of(body: bytes) -> Any:
    """Return the document. Raises ValueError for what is not JSON; Invalid `invalid_text`."""
    return _checked(body, json.loads(body, parse_constant=_no_constant))


def exact_document_of(text: str, *, most_depth: int) -> Any:
    """Return the document of a line written by another program; numbers with a point are Decimals.

    Raises ValueError for what is not JSON, for duplicate members, which readers interpret
    differently, and for nesting deeper than `most_depth`; Invalid `invalid_text`.
    """
    try:
        document = json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_exact,
            object_pairs_hook=_named_once,
        )
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    level, depth = [document], 0
    while level := [part for item in level for part in _parts(item)]:
        depth += 1
        if depth > most_depth:
            raise ValueError("is nested too deeply")
    return _checked(text.encode(), document)


def _checked(body: bytes, document: Any) -> Any:
    # Both can only be escapes: JSON forbids raw control characters, and UTF-8 forbids surrogates.
    if b"\\u" in body and not _storable(document):
        raise Invalid(_("A text holds characters that cannot be stored."), code="invalid_text")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _exact(number: str) -> Decimal:
    try:
        value = Decimal(number)
        # The range of a float. Written out, 1e999999999 would fill the memory.
        if abs(value.adjusted()) <= 308:
            return value
    except InvalidOperation:
        # An exponent that not even a Decimal has.
        pass
    raise ValueError("is a number that is too large or too small")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("names a member twice")
    return members


def _storable(value: Any) -> bool:
    """Return whether PostgreSQL can store every text. Not recursive, because documents may be
    deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                return False
            if "\0" in item:
                return False
        elif isinstance(item, dict):
            waiting.extend(item)
        waiting.extend(_parts(item))
    return True


def _parts(item: Any) -> list[Any]:
    """Return the members of a list or an object."""
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []
