"""A rulebook, read from its document. Documents are edited by people, so every word is looked at:
what is unknown, contradictory or leads nowhere is refused before a claim depends on it."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from apps.common.language import filled
from apps.common.language import lazy as _
from apps.pix.contracts import KeyType
from apps.pix.rulebooks.checks import check, wrong
from apps.pix.rulebooks.terms import (
    Actor,
    ClaimStatus,
    ClaimType,
    Effect,
    Event,
    Period,
    Reason,
    Role,
)

Word = TypeVar("Word", bound=StrEnum)

ANY = "any"
LONGEST_PERIOD = 366 * 86_400
MOST_ROWS = 200
_CODE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_MOST_VERSIONS = 1_000_000


@dataclass(frozen=True)
class TypeRules:
    """What holds for all claims of a type. `seconds`: length of each period that it has."""

    claim_type: ClaimType
    keys: tuple[KeyType, ...]
    without_key: bool
    seconds: tuple[tuple[Period, int], ...]

    def length(self, period: Period) -> int | None:
        """Return the seconds of the period; None where there is no such period."""
        return dict(self.seconds).get(period)


@dataclass(frozen=True)
class Row:
    """One rule. `reasons` are those it takes, one of them; none is given where there are none, and
    any text or none with `any_reason`."""

    types: tuple[ClaimType, ...]
    states: tuple[ClaimStatus, ...]
    event: Event
    actors: tuple[Actor, ...]
    to: ClaimStatus
    reasons: tuple[Reason, ...] = ()
    any_reason: bool = False
    effects: tuple[Effect, ...] = ()
    after: Period | None = None
    on_behalf_of: Role | None = None


@dataclass(frozen=True)
class Rulebook:
    """A version of a rulebook: valid, if `parse` has made it."""

    code: str
    version: int
    types: tuple[TypeRules, ...]
    rows: tuple[Row, ...]
    #: Statuses that are read as another one.
    same: tuple[tuple[ClaimStatus, ClaimStatus], ...] = field(default=())

    @classmethod
    def parse(cls, document: object) -> "Rulebook":
        """Return the rulebook in a document, as `documents` describes it. Raises Invalid
        `rulebook_invalid` (extra path), whose text says where and what is wrong."""
        members = _members(document, "", {"code", "version", "types", "same", "rows"})
        rulebook = cls(
            code=_code(members["code"]),
            version=_number(members["version"], "version", most=_MOST_VERSIONS),
            types=_types(members["types"]),
            rows=_rows(members["rows"]),
            same=_same(members["same"]),
        )
        check(rulebook)
        return rulebook

    def rules(self, claim_type: ClaimType) -> TypeRules | None:
        """Return what holds for claims of that type; None if the rulebook has none of them."""
        return next((rules for rules in self.types if rules.claim_type == claim_type), None)

    def state(self, status: ClaimStatus) -> ClaimStatus:
        """Return the status as the rows have it."""
        return dict(self.same).get(status, status)

    def rows_from(self, claim_type: ClaimType, status: ClaimStatus) -> tuple[Row, ...]:
        """Return the rows for a claim that is there, in the document's order."""
        state = self.state(status)
        return tuple(row for row in self.rows if claim_type in row.types and state in row.states)


# --- reading --------------------------------------------------------------------------------------
def _code(value: object) -> str:
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise wrong("code", _("A code has small letters, digits, - and _."))
    return value


def _types(value: object) -> tuple[TypeRules, ...]:
    members = _members(value, "types", set(), set(ClaimType))
    if not members:
        raise wrong("types", _("A rulebook is for one type of claim at least."))
    return tuple(_type_rules(ClaimType(name), members[name]) for name in members)


def _type_rules(claim_type: ClaimType, value: object) -> TypeRules:
    path = f"types.{claim_type}"
    members = _members(value, path, {"keys", "without_key", "seconds"})
    keys = _words(members["keys"], f"{path}.keys", KeyType)
    if not isinstance(members["without_key"], bool):
        raise wrong(f"{path}.without_key", _("This is true or false."))
    seconds = _members(members["seconds"], f"{path}.seconds", {Period.RESOLUTION}, set(Period))
    return TypeRules(
        claim_type=claim_type,
        keys=keys,
        without_key=members["without_key"],
        seconds=tuple(
            (period, _number(seconds[period], f"{path}.seconds.{period}", most=LONGEST_PERIOD))
            for period in Period
            if period in seconds
        ),
    )


def _same(value: object) -> tuple[tuple[ClaimStatus, ClaimStatus], ...]:
    members = _members(value, "same", set(), set(ClaimStatus))
    return tuple(
        (ClaimStatus(name), _word(members[name], f"same.{name}", ClaimStatus)) for name in members
    )


def _rows(value: object) -> tuple[Row, ...]:
    rows = _list(value, "rows", most=MOST_ROWS)
    return tuple(_row(row, f"rows.{number}") for number, row in enumerate(rows, start=1))


def _row(value: object, path: str) -> Row:
    members = _members(
        value,
        path,
        {"types", "states", "event", "actors", "reasons", "to", "effects"},
        {"after", "on_behalf_of"},
    )
    any_reason = members["reasons"] == ANY

    def words(name: str, kind: type[Word]) -> tuple[Word, ...]:
        return _words(members[name], f"{path}.{name}", kind)

    def optional(name: str, kind: type[Word]) -> Word | None:
        return _word(members[name], f"{path}.{name}", kind) if name in members else None

    return Row(
        types=words("types", ClaimType),
        states=words("states", ClaimStatus),
        event=_word(members["event"], f"{path}.event", Event),
        actors=words("actors", Actor),
        to=_word(members["to"], f"{path}.to", ClaimStatus),
        reasons=() if any_reason else words("reasons", Reason),
        any_reason=any_reason,
        effects=words("effects", Effect),
        after=optional("after", Period),
        on_behalf_of=optional("on_behalf_of", Role),
    )


# --- shapes ---------------------------------------------------------------------------------------
def _members(
    value: object, path: str, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return an object that has these members and no others."""
    if not isinstance(value, dict):
        raise wrong(path, _("This is an object with members."))
    for name in value:
        if not isinstance(name, str) or name not in {*required, *optional}:
            raise wrong(path, filled(_("{name} is not known here."), name=_shown(name)))
    for name in sorted(required):
        if name not in value:
            raise wrong(path, filled(_("{name} is missing."), name=str(name)))
    return value


def _list(value: object, path: str, *, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise wrong(path, filled(_("This is a list of at most {most}."), most=most))
    return value


def _words(value: object, path: str, kind: type[Word]) -> tuple[Word, ...]:
    listed = _list(value, path, most=len(kind))
    found = tuple(_word(one, path, kind) for one in listed)
    if len(set(found)) < len(found):
        raise wrong(path, _("A word is there twice."))
    return found


def _word(value: object, path: str, kind: type[Word]) -> Word:
    if not isinstance(value, str) or value not in set(kind):
        raise wrong(
            path,
            filled(
                _("{word} is not known here. The words are {words}."),
                word=_shown(value),
                words=", ".join(kind),
            ),
        )
    return kind(value)


def _number(value: object, path: str, *, most: int) -> int:
    # Not a bool, which is an int, and no float: a period has no half seconds, and NaN is one.
    if type(value) is not int or not 1 <= value <= most:
        raise wrong(path, filled(_("This is a whole number from 1 to {most}."), most=most))
    return value


def _shown(value: object) -> str:
    """Return a word of the document as a sentence can have it."""
    return ascii(value)[:42] if isinstance(value, str) else type(value).__name__
