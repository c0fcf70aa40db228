"""Values that nodes pass on: JSON of a limited size, measured before it is written.

Expressions can build, out of one value that they name again and again, a tree that is far larger
than the memory it takes: written out, it would fill that of the process.
"""

import math
from typing import Any

from apps.common.errors import Invalid
from apps.common.exact_json import written
from apps.common.language import filled
from apps.common.language import lazy as _

#: The most bytes of a value's JSON.
MOST_BYTES = 1_000_000
#: The deepest nesting, as in what `strict_json` reads.
DEEPEST = 200


class TooLarge(Invalid):
    """A value has more than `MOST_BYTES`, or is nested deeper than `DEEPEST`."""

    code = "output_too_large"


def json_of(value: Any) -> str:
    """Return the value as canonical JSON.

    Raises TooLarge; Invalid `value_not_json` for NaN, infinity and what is no JSON.
    """
    measure(value)
    text = written(value)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid(_("A value is not JSON: half a character."), code="value_not_json") from None
    if size > MOST_BYTES:
        raise too_large()
    return text


def measure(value: Any, most: int = MOST_BYTES) -> int:
    """Return a number of bytes below that of the value's JSON, parts that occur twice counted
    twice. Stops at `most`. Raises as `json_of`."""
    size, depth, level = 0, 0, [value]
    while level:
        if depth > DEEPEST:
            raise TooLarge(filled(_("A value is nested more than {most} deep."), most=DEEPEST))
        below: list[Any] = []
        for part in level:
            size += _own(part, below)
            # What lies below counts at least a byte each: a tree that fans out stops here, before
            # its next level is walked.
            if size + len(below) > most:
                raise too_large()
        level, depth = below, depth + 1
    return size


def _own(part: Any, below: list[Any]) -> int:
    """Return the bytes of the part without what it holds, which goes to `below`."""
    if isinstance(part, str):
        return len(part) + 2
    if part is None or isinstance(part, bool | int):
        return 1
    if isinstance(part, float) and math.isfinite(part):
        return 1
    if isinstance(part, dict) and all(isinstance(name, str) for name in part):
        below.extend(part.values())
        return 2 + sum(len(name) + 3 for name in part)
    if isinstance(part, list):
        below.extend(part)
        return 2
    raise Invalid(_("A value is not JSON: it is not a number, or unknown."), code="value_not_json")


def too_large() -> TooLarge:
    """Return the error of a value that has more than `MOST_BYTES`."""
    return TooLarge(filled(_("A value has more than {most} bytes."), most=MOST_BYTES))
