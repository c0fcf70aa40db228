"""What a stream brings, and what a stream of any broker can do."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class Record:
    """A message of a topic, as its broker keeps it. `value` is None for a message without one;
    `offset` is a number in Kafka and an entry's id in Redis; `sent_at` is by the broker's clock."""

    source: str
    topic: str
    offset: str
    value: bytes | None = field(repr=False)
    partition: int | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    sent_at: datetime | None = None


Headers = Sequence[tuple[str, bytes | None]]


def headers_as_json(headers: Headers) -> list[list[Any]]:
    """Return headers for a jsonb column: name and value in base64, or null; repeated ones stay, in
    their order."""
    return [
        [ascii(name)[1:-1], None if value is None else b64encode(value).decode()]
        for name, value in headers
    ]


def headers_from_json(kept: Sequence[Sequence[Any]]) -> list[tuple[str, bytes | None]]:
    """Return the headers that `headers_as_json` wrote."""
    return [(name, None if value is None else b64decode(value)) for name, value in kept]


def moment_of(milliseconds: int) -> datetime | None:
    """Return the moment so long after 1970; None for one that no calendar has. Producers may choose
    their messages' times."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True)
class Gap:
    """Messages that are gone before this group has read them: of `topic`, from and to."""

    topic: str
    partition: int | None
    first: str
    next: str


class Source(Protocol):
    """A broker, read as one consumer of a group. Used by one thread."""

    def poll(self, seconds: float) -> list[Record]:
        """Return the next records, of all topics; none when nothing came within `seconds`. Raises
        BrokerAway."""

    def done(self, records: Sequence[Record]) -> None:
        """Note that these records, the last that `poll` returned, need not come again. What is not
        noted comes again, to this consumer or another. Never raises: a record that comes twice does
        no harm."""

    def hold(self, seconds: float) -> None:
        """Wait without taking new records, and stay a member of the group."""

    def lag(self) -> int:
        """Return how many messages of the topics the group has not read. Raises BrokerAway."""

    def gaps(self) -> list[Gap]:
        """Return what was lost since the last call."""

    def close(self) -> None:
        """Leave the group; what was not noted comes to others at once."""


class BrokerAway(Exception):
    """The broker does not answer."""
