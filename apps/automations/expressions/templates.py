"""Strings of a definition with `{{ expressions }}` in them."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from apps.automations.expressions import paths
from apps.automations.expressions.errors import Failed, NotAllowed
from apps.automations.values import MOST_BYTES, TooLarge, json_of
from apps.common.language import filled
from apps.common.language import lazy as _

#: Expressions in one string.
MOST_EXPRESSIONS = 50
#: Closing braces that are tried as the end of one.
MOST_ENDS = 10
OPENS, CLOSES = "{{", "}}"

#: Parts of a string: texts, and expressions as (expression,).
Part = str | tuple[str]


def is_template(text: str) -> bool:
    """Return whether the string has an expression."""
    return OPENS in text


@lru_cache(maxsize=2048)
def parts_of(text: str) -> tuple[Part, ...]:
    """Return the texts and the expressions of a string, in order.

    Raises NotAllowed for an expression that has no end, or is not JMESPath.
    """
    parts: list[Part] = []
    at = 0
    while (begin := text.find(OPENS, at)) >= 0:
        if len(parts) >= 2 * MOST_EXPRESSIONS:
            raise NotAllowed(
                filled(_("A text has at most {most} expressions."), most=MOST_EXPRESSIONS)
            )
        if begin > at:
            parts.append(text[at:begin])
        expression, at = _expression(text, begin + len(OPENS))
        parts.append((expression,))
    if at < len(text):
        parts.append(text[at:])
    return tuple(parts)


def filled_in(value: Any, values: Mapping[str, Any], steps: paths.Steps | None = None) -> Any:
    """Return the JSON value with its expressions replaced by what they find in `values`.

    A string that is one expression becomes what that is, of whatever type. In a longer one it is
    written: a text as it is, everything else as JSON. Names of objects are left alone, and so are
    braces in what an expression finds. `steps` and `secrets`: as for `paths.evaluate`.

    Raises Failed, also for a null within a longer string; NotAllowed; TooLarge.
    """
    if isinstance(value, str):
        return _text_filled(value, values, steps) if is_template(value) else value
    if isinstance(value, dict):
        return {name: filled_in(part, values, steps) for name, part in value.items()}
    if isinstance(value, list):
        return [filled_in(part, values, steps) for part in value]
    return value


def strings_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Yield every string of a JSON value with the path to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from strings_of(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from strings_of(part, (*path, number))


def _expression(text: str, begin: int) -> tuple[str, int]:
    """Return the expression that begins here, and where the text goes on. An expression may end
    with braces of its own: it is the shortest that is valid."""
    first: NotAllowed | None = None
    end = text.find(CLOSES, begin)
    for _try in range(MOST_ENDS):
        if not 0 <= end - begin <= paths.LONGEST:
            break
        expression = text[begin:end].strip()
        try:
            paths.check(expression)
            return expression, end + len(CLOSES)
        except NotAllowed as error:
            first = first or error
        end = text.find(CLOSES, end + 1)
    raise first or NotAllowed(
        filled(
            _("It begins with {opens} and ends with {closes}, within {most} characters."),
            opens=OPENS,
            closes=CLOSES,
            most=paths.LONGEST,
        )
    )


def _text_filled(text: str, values: Mapping[str, Any], steps: paths.Steps | None) -> Any:
    parts = parts_of(text)
    if len(parts) == 1 and isinstance(parts[0], tuple):
        return paths.evaluate(parts[0][0], values, steps)
    written, size = [], 0
    for part in parts:
        written.append(part if isinstance(part, str) else _written(part[0], values, steps))
        size += len(written[-1])
        if size > MOST_BYTES:
            raise TooLarge(filled(_("A value has more than {most} bytes."), most=MOST_BYTES))
    return "".join(written)


def _written(expression: str, values: Mapping[str, Any], steps: paths.Steps | None) -> str:
    value = paths.evaluate(expression, values, steps)
    if value is None:
        # An address with a hole in it would lead somewhere else.
        raise Failed(filled(_("{expression} is missing."), expression=expression[:200]))
    return value if isinstance(value, str) else json_of(value)
