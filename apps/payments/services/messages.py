"""A message as a stream, a program or a person brings it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256


@dataclass(frozen=True)
class Message:
    """A message as it came. `raw` is None for a message without a value, which is not an empty one;
    `offset` is a text: streams count in their own ways."""

    raw: bytes | None
    source: str
    topic: str = ""
    partition: int | None = None
    offset: str = ""
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    sent_at: datetime | None = None

    @property
    def came_once(self) -> str:
        """Return a text that a redelivery of the message has too. A topic that was deleted and made
        again counts from zero: the broker's time and the content tell its messages from earlier
        ones."""
        where = (self.source, self.topic, self.partition, self.offset, self.sent_at, self.digest)
        return sha256(repr(where).encode()).hexdigest()

    def in_plain_texts(self) -> "Message":
        """Return the message with where it was in printable ASCII, which any column keeps."""

        def plain(text: str) -> str:
            return ascii(text)[1:-1]

        return replace(
            self, topic=plain(self.topic)[:250], offset=plain(self.offset)[:45], sent_at=None
        )

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the bytes; of nothing for a message without a value."""
        return sha256(self.raw or b"").hexdigest()
