"""What pydantic says of a definition's shape: stable codes, and words that are translated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from apps.automations.contracts import NodeType
from apps.common.language import filled, later
from apps.common.language import lazy as _


@dataclass(frozen=True)
class Told:
    """An error's code, what is wrong, and what to do about it."""

    code: str
    detail: str
    hint: str = ""


_KINDS = {
    "string": _("a text"),
    "int": _("a whole number"),
    "float": _("a number"),
    "bool": _("true or false"),
    "list": _("a list"),
    "dict": _("an object"),
    "model": _("an object"),
    "model_attributes": _("an object"),
}


def told(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], Told]]:
    """Yield each error with the path in the document to what it is about."""
    for one in error.errors(include_url=False, include_input=False):
        path = _path(one["loc"])
        name = str(path[-1]) if path else _("The definition")
        yield path, _told(one["type"], name, one.get("ctx", {}))


def _path(loc: tuple[Any, ...]) -> tuple[str | int, ...]:
    """Return where the error is, without the tags by which pydantic names the part of a union."""
    path = [part for part in loc if not (isinstance(part, str) and part.startswith("<"))]
    if len(path) > 2 and path[0] == "nodes":
        del path[2]
    if path[-1:] == ["[key]"]:
        path.pop()
    return tuple(path)


def _told(kind: str, name: str, given: dict[str, Any]) -> Told:
    types = ", ".join(NodeType)
    match kind:
        case "missing":
            return Told("missing", filled(_("{name} is missing."), name=name))
        case "extra_forbidden":
            return Told("unknown_key", filled(_("{name} is not known here."), name=name))
        case "union_tag_invalid" if given.get("discriminator") == "'type'":
            detail = filled(_("There is no type {type}."), type=str(given.get("tag"))[:100])
            return Told("unknown_type", detail, filled(_("Types are {types}."), types=types))
        case "union_tag_not_found":
            return Told(
                "missing", _("type is missing."), filled(_("Types are {types}."), types=types)
            )
        case "literal_error":
            expected = str(given.get("expected")).replace("'", "")
            return Told(
                "not_a_choice", filled(_("{name} is {expected}."), name=name, expected=expected)
            )
        case "too_long" | "string_too_long":
            words = _("{name} has at most {most} characters.")
            if kind == "too_long":
                words = _("{name} has at most {most} parts.")
            return Told("too_long", filled(words, name=name, most=given.get("max_length")))
        case "too_short" | "string_too_short":
            return Told("too_short", filled(_("{name} is empty."), name=name))
        case "greater_than_equal":
            least = given.get("ge")
            return Told(
                "out_of_range", filled(_("{name} is at least {least}."), name=name, least=least)
            )
        case "less_than_equal":
            most = given.get("le")
            return Told(
                "out_of_range", filled(_("{name} is at most {most}."), name=name, most=most)
            )
        case "string_pattern_mismatch":
            pattern = given.get("pattern")
            detail = filled(
                _("{name} is not written as it must be: {pattern}"), name=name, pattern=pattern
            )
            return Told("bad_format", detail)
        case "value_error":
            why = later(str, given.get("error"))
            return Told(
                "bad_format", filled(_("{name} cannot be used: {why}."), name=name, why=why)
            )
    what = next((said for start, said in _KINDS.items() if kind == f"{start}_type"), None)
    if what is not None:
        return Told("wrong_type", filled(_("{name} must be {what}."), name=name, what=what))
    return Told("bad_format", filled(_("{name} cannot be read."), name=name))
