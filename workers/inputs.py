"""Checks the arguments of a workflow's start, signal, query or update against its type hints.

Stricter than the decoding that follows: no number from a text, no missing field, no object of
unknown fields only. Every type hint is compiled when the worker is made, so a handler whose input
cannot be checked prevents its worker's start, instead of failing workflow tasks for ever.
"""

import dataclasses
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, NoReturn
from uuid import UUID

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter

from apps.engine.contracts import Between, Whole

#: The most bytes of all arguments together. Ours have some hundred; the server's limit is 2 MB.
MOST_BYTES = 64 * 1024
#: The most characters of a text without limits in its type hint, and the most bytes as escaped
#: JSON, where one character can take twelve. The text may become part of a workflow's id (at most
#: 1,000) or of a search attribute (2 KB, escaped). The server refuses a longer one in a command,
#: again and again.
MOST_TEXT = 400
MOST_ESCAPED = 900
#: The largest absolute value of a number: the range of PostgreSQL's integer and of every timer.
MOST_NUMBER = 2**31 - 1

Check = Callable[[Any, str], None]


class Misfit(Exception):
    """Describes what does not fit: the declared type, never the input."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """The arguments that a handler declares; the first `least` of them have no default."""

    hints: tuple[Any, ...]
    checks: tuple[Check, ...]
    least: int
    most_bytes: int = MOST_BYTES

    def check(self, payloads: Sequence[Payload], converter: PayloadConverter) -> None:
        """Raise Misfit unless the handler can be called with the decoded payloads."""
        if not self.least <= len(payloads) <= len(self.hints):
            raise Misfit(f"{_counted(len(payloads))} given, {self._wanted()} taken")
        if sum(len(payload.data) for payload in payloads) > self.most_bytes:
            raise Misfit(f"more than {self.most_bytes:,} bytes")
        for number, (payload, check) in enumerate(zip(payloads, self.checks, strict=False), 1):
            # What nobody reads may be anything that can be decoded: numbers of 64 bits as well.
            if isinstance(check, _AsItCame):
                check(_decoded(payload), f"argument {number}")
            elif check is not _anything:
                check(_value(payload), f"argument {number}")
        if payloads:
            try:
                converter.from_payloads(payloads, list(self.hints[: len(payloads)]))
            except Exception as error:
                # The error's text would quote the input.
                raise Misfit("cannot be decoded") from error

    def _wanted(self) -> str:
        most = len(self.hints)
        return _counted(most) if self.least == most else f"{self.least} to {most} arguments"


def signature_of(fn: Callable[..., Any], *, method: bool) -> Signature:
    """Return the handler's signature. Raises TypeError when it has an argument that cannot be
    checked."""
    parameters = list(inspect.signature(fn).parameters.values())[1 if method else 0 :]
    declared = typing.get_type_hints(fn, include_extras=True)
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{fn.__qualname__}: {parameter.name} cannot be sent from outside")
        if parameter.name not in declared:
            raise TypeError(f"{fn.__qualname__}: {parameter.name} has no type hint")
    hints = tuple(declared[parameter.name] for parameter in parameters)
    checks = tuple(_checker(hint) for hint in hints)
    return Signature(
        hints=hints,
        checks=checks,
        least=sum(parameter.default is parameter.empty for parameter in parameters),
        most_bytes=sum((c.most for c in checks if isinstance(c, _AsItCame)), start=MOST_BYTES),
    )


def _counted(number: int) -> str:
    return "1 argument" if number == 1 else f"{number or 'no'} arguments"


# --- JSON -----------------------------------------------------------------------------------------
def _value(payload: Payload) -> Any:
    value = _decoded(payload, parse_int=_int, parse_float=_float)
    try:
        _texts(value)
    except RecursionError as error:
        raise Misfit("is not JSON") from error
    return value


def _decoded(payload: Payload, **numbers: Any) -> Any:
    encoding = payload.metadata.get("encoding", b"")
    if encoding == b"binary/null":
        return None
    if encoding != b"json/plain":
        raise Misfit("is not JSON")
    try:
        return json.loads(payload.data.decode(), parse_constant=_no_number, **numbers)
    except (ValueError, RecursionError) as error:
        raise Misfit("is not JSON") from error


def _int(text: str) -> int:
    if len(text) > len(str(-MOST_NUMBER)) or abs(int(text)) > MOST_NUMBER:
        raise Misfit(f"a number beyond ±{MOST_NUMBER:,}")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or abs(number) > MOST_NUMBER:
        raise Misfit(f"a number beyond ±{MOST_NUMBER:,}")
    return number


def _no_number(text: str) -> NoReturn:
    raise Misfit("NaN or Infinity")


def _texts(value: Any) -> None:
    """Refuse texts that PostgreSQL cannot store: NUL and lone surrogates."""
    if isinstance(value, str):
        if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise Misfit("a text with NUL or half a surrogate pair")
    elif isinstance(value, list):
        for one in value:
            _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            _texts(name)
            _texts(one)


# --- type hints -----------------------------------------------------------------------------------
@cache
def _checker(hint: Any, limits: Between | None = None) -> Check:
    """Return the check of a type hint. Raises TypeError for a type that no input can have."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        if whole := next((one for one in hint.__metadata__ if isinstance(one, Whole)), None):
            return _AsItCame(whole.most)
        found = next((one for one in hint.__metadata__ if isinstance(one, Between)), limits)
        return _checker(args[0], found)
    if origin in (typing.Union, types.UnionType):
        return _union(args, limits)
    if origin is typing.Literal:
        return _one_of(frozenset(args))
    if origin is tuple and args[-1:] != (Ellipsis,):
        return _tuple(tuple(_checker(arg) for arg in args))
    if origin in _MANY:
        return _list(_checker(args[0]), limits)
    if origin in (dict, Mapping) and args[0] is str:
        return _dict(_checker(args[1]), limits)
    if dataclasses.is_dataclass(hint):
        return _object(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of(frozenset(member.value for member in hint))
    if hint in (Any, object):
        return _anything
    if hint in (None, type(None)):
        return _one_of(frozenset([None]))
    if hint is str:
        return _text(limits)
    if hint in (int, float):
        return _number(hint, limits or Between(-MOST_NUMBER, MOST_NUMBER))
    if hint is bool:
        return _boolean
    if hint in _PARSED:
        return _parsed(*_PARSED[hint])
    raise TypeError(f"{hint!r} is no type for an input from outside")


_MANY = (tuple, list, set, frozenset, Sequence)


def _moment(text: str) -> None:
    # The workflow's clock has an offset: comparing it with a time without one raises.
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(text)


_PARSED: dict[Any, tuple[Callable[[str], object], str]] = {
    datetime: (_moment, "a moment with its offset"),
    date: (date.fromisoformat, "a date"),
    UUID: (UUID, "a UUID"),
}


def _anything(value: Any, where: str) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class _AsItCame:
    """The check of a `Whole` object."""

    most: int

    def __call__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Misfit(f"{where} is not an object")


def _boolean(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise Misfit(f"{where} is not true or false")


def _number(kind: type, limits: Between) -> Check:
    taken = (int,) if kind is int else (int, float)

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, taken):
            raise Misfit(f"{where} is not {'a whole' if kind is int else 'a'} number")
        if not limits.least <= value <= limits.most:
            raise Misfit(f"{where} is not between {limits.least:,} and {limits.most:,}")

    return check


def _text(limits: Between | None) -> Check:
    bounds = limits or Between(0, MOST_TEXT)

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str):
            raise Misfit(f"{where} is not a text")
        if not bounds.least <= len(value) <= bounds.most:
            raise Misfit(f"{where} has not {bounds.least:,} to {bounds.most:,} characters")
        if limits is None and len(json.dumps(value)) > MOST_ESCAPED:
            raise Misfit(f"{where} has more than {MOST_ESCAPED} bytes")

    return check


def _parsed(parse: Callable[[str], object], what: str) -> Check:
    def check(value: Any, where: str) -> None:
        try:
            if isinstance(value, str) and len(value) <= MOST_TEXT:
                parse(value)
                return
        except ValueError:
            pass
        raise Misfit(f"{where} is not {what}")

    return check


def _one_of(values: frozenset[Any]) -> Check:
    # Compare types too: True == 1.
    taken = {(type(value), value) for value in values}
    what = "null" if values == {None} else "one of the declared values"

    def check(value: Any, where: str) -> None:
        if isinstance(value, list | dict) or (type(value), value) not in taken:
            raise Misfit(f"{where} is not {what}")

    return check


def _union(args: tuple[Any, ...], limits: Between | None) -> Check:
    some = [_checker(arg, limits) for arg in args if arg is not type(None)]
    optional = len(some) < len(args)

    def check(value: Any, where: str) -> None:
        if value is None and optional:
            return
        if len(some) == 1:
            some[0](value, where)
            return
        for one in some:
            try:
                one(value, where)
            except Misfit:
                continue
            return
        raise Misfit(f"{where} is of none of the declared types")

    return check


def _list(check_one: Check, limits: Between | None) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise Misfit(f"{where} is not a list")
        if limits is not None and not limits.least <= len(value) <= limits.most:
            raise Misfit(f"{where} has not {limits.least:,} to {limits.most:,} members")
        for number, one in enumerate(value, 1):
            check_one(one, f"{where}[{number}]")

    return check


def _tuple(checks: tuple[Check, ...]) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) != len(checks):
            raise Misfit(f"{where} is not a list of {len(checks)}")
        for number, (one, check_one) in enumerate(zip(value, checks, strict=True), 1):
            check_one(one, f"{where}[{number}]")

    return check


def _dict(check_one: Check, limits: Between | None) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Misfit(f"{where} is not an object")
        if limits is not None and not limits.least <= len(value) <= limits.most:
            raise Misfit(f"{where} has not {limits.least:,} to {limits.most:,} members")
        for one in value.values():
            check_one(one, f"a member of {where}")

    return check


def _object(cls: Any) -> Check:
    declared = typing.get_type_hints(cls, include_extras=True)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    checks = {field.name: _checker(declared[field.name]) for field in fields}
    missing = dataclasses.MISSING
    required = [f.name for f in fields if f.default is missing and f.default_factory is missing]

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Misfit(f"{where} is not an object")
        for name in required:
            if name not in value:
                raise Misfit(f"{where}.{name} is missing")
        known = checks.keys() & value.keys()
        # Unknown fields beside known ones are ignored: during a deployment the next version's
        # inputs have fields that this version does not know.
        if value and not known:
            raise Misfit(f"{where} has none of the declared fields")
        for name in known:
            checks[name](value[name], f"{where}.{name}")

    return check
