"""Identifiers of rows in URLs, APIs and workflow ids."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a time-ordered UUID (version 7, RFC 9562).

    Not a counter: after a restored backup a counter would repeat, and its workflow ids would
    collide with those that Temporal still has.
    """
    return uuid7()


def uuid_of(identifier: UUID | str) -> UUID | None:
    """Return the id as a UUID; None for what is not one, including other types."""
    try:
        return identifier if isinstance(identifier, UUID) else UUID(identifier)
    except (ValueError, AttributeError, TypeError):
        return None


def number_of(text: str, *, digits: int) -> int | None:
    """Return the number in a form field or URL, of at most that many ASCII digits; else None.

    `isdigit` alone accepts "²", which `int` refuses; more digits than the column holds would be a
    database error.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def short(identifier: UUID | str) -> str:
    """Return the last eight hex digits, which are random, for people to read out."""
    return str(identifier).replace("-", "")[-8:]
