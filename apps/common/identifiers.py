"""Identifiers of rows that people and programs refer to."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A time-ordered UUID (version 7, RFC 9562).

    Not a counter: a counter starts again after a restored backup, and its workflow ids would
    collide with those that the engine still remembers.
    """
    return uuid7()


def uuid_of(identifier: UUID | str) -> UUID | None:
    """The id as a UUID; None for what cannot be one, also of another type."""
    try:
        return identifier if isinstance(identifier, UUID) else UUID(identifier)
    except (ValueError, AttributeError, TypeError):
        return None


def number_of(text: str, *, digits: int) -> int | None:
    """The number that a form or an address names, of at most so many ASCII digits; else None.

    `isdigit` alone is true of "²", which `int` refuses; more digits than the column holds would
    be the database's error.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def short(identifier: UUID | str) -> str:
    """The last eight hex digits, the random part: what people read aloud."""
    return str(identifier).replace("-", "")[-8:]
