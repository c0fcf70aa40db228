"""Identifiers of rows that people and programs refer to."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A time-ordered UUID (version 7, RFC 9562).

    Not a counter: a counter starts again after a restored backup, and its workflow ids would
    collide with those that the engine still remembers.
    """
    return uuid7()


def short(identifier: UUID | str) -> str:
    """The last eight hex digits, the random part: what people read aloud."""
    return str(identifier).replace("-", "")[-8:]
