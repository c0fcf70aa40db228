"""Lists in words. A language puts "and", "or" and "then" where it has them: the parts are joined by
marked patterns, never by a marked word between two spaces."""

from collections.abc import Iterable
from functools import reduce

from django.utils.translation import gettext


def all_of(parts: Iterable[object]) -> str:
    """Return `a, b and c`; empty without parts."""
    return _ended(parts, gettext("{some} and {last}"))


def one_of(parts: Iterable[object]) -> str:
    """Return `a, b or c`; empty without parts."""
    return _ended(parts, gettext("{some} or {last}"))


def in_turn(parts: Iterable[object]) -> str:
    """Return `a, then b, then c`; empty without parts."""
    told, pattern = [str(part) for part in parts], gettext("{before}, then {after}")
    return reduce(lambda before, after: pattern.format(before=before, after=after), told or [""])


def _ended(parts: Iterable[object], pattern: str) -> str:
    told = [str(part) for part in parts]
    if len(told) < 2:
        return "".join(told)
    return pattern.format(some=", ".join(told[:-1]), last=told[-1])
