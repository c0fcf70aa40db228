"""JSON as in RFC 8259, more strictly than the standard library: refuses what two readers could
understand differently (a member named twice, NaN, UTF-16), and text that PostgreSQL cannot
store."""

import math
import re
from decimal import Decimal
from typing import Any

import jiter

from apps.common.errors import Invalid
from apps.common.language import lazy as _

#: What could be a number that is too large or too small: most bodies have none, and nobody needs to
#: walk through them. A number without it has at most 30 digits.
_UNUSUAL = re.compile(rb"[0-9]{16}|[0-9][eE][-+]?[0-9]")
_USUAL_DIGITS = 30

#: jiter's own limit of nesting.
DEEPEST = 200


class NotJson(ValueError):
    """What is wrong: `not_json`, `duplicate_key`, `too_deep` or `number_out_of_range`. The text
    says where."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def document_of(body: bytes, *, most_depth: int = DEEPEST) -> Any:
    """Return the document; numbers with a point are floats. Raises NotJson; Invalid
    `invalid_text`."""
    document = _parsed(body, "float")
    if most_depth < DEEPEST:
        _check_depth(document, most_depth)
    if _UNUSUAL.search(body):
        _check_numbers(document, _is_finite)
    return _storable(body, document)


def exact_document_of(
    body: bytes, *, most_depth: int = DEEPEST, most_digits: int = 400, most_exponent: int = 308
) -> Any:
    """Return the document of another program; numbers with a point are Decimals, as written.

    Refuses numbers with more digits, or a greater exponent in either direction: written out,
    1e999999999 would fill the memory. Raises NotJson; Invalid `invalid_text`.
    """
    document = _parsed(body, "decimal")
    if most_depth < DEEPEST:
        _check_depth(document, most_depth)
    most = 10**most_digits

    def is_kept(number: Any) -> bool:
        if isinstance(number, int):
            return abs(number) < most
        return len(number.as_tuple().digits) <= most_digits and (
            abs(number.adjusted()) <= most_exponent
        )

    if min(most_digits, most_exponent) < _USUAL_DIGITS or _UNUSUAL.search(body):
        _check_numbers(document, is_kept)
    return _storable(body, document)


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        # A whole number that no float holds.
        return False


def _parsed(body: bytes, float_mode: Any) -> Any:
    try:
        return jiter.from_json(
            body,
            allow_inf_nan=False,
            catch_duplicate_keys=True,
            float_mode=float_mode,
            cache_mode="keys",
        )
    except ValueError as error:
        text = str(error)
    # The library names its errors only in words.
    if "surrogate" in text or "hex escape" in text:
        raise _unstorable()
    for words, code in (("Detected duplicate key", "duplicate_key"), ("recursion", "too_deep")):
        if words in text:
            raise NotJson(code, text)
    raise NotJson("not_json", text)


def _check_depth(document: Any, most: int) -> None:
    level, depth = [document], 0
    while level := [part for item in level for part in _parts(item)]:
        depth += 1
        if depth > most:
            raise NotJson("too_deep", f"nested more than {most} deep")


def _check_numbers(document: Any, is_kept: Any) -> None:
    waiting = [document]
    while waiting:
        item = waiting.pop()
        if isinstance(item, (int, float, Decimal)) and not isinstance(item, bool):
            if not is_kept(item):
                raise NotJson("number_out_of_range", "a number that is too large or too small")
        else:
            waiting.extend(_parts(item))


def _storable(body: bytes, document: Any) -> Any:
    # It can only be an escape: JSON forbids raw control characters.
    if b"\\u0000" in body:
        waiting = [document]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str) and "\0" in item:
                raise _unstorable()
            if isinstance(item, dict):
                waiting.extend(item)
            waiting.extend(_parts(item))
    return document


def _unstorable() -> Invalid:
    return Invalid(_("A text holds characters that cannot be stored."), code="invalid_text")


def _parts(item: Any) -> list[Any]:
    """Return the members of a list or an object."""
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []
