"""The event inside a quarantined message: as it came, and in its newest signed version."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from apps.common.errors import Invalid
from apps.common.exact_json import written
from apps.common.strict_json import NotJson, exact_document_of
from apps.payments.models import QuarantinedEvent, QuarantineEdit

#: The member of a message of dead letters that is the event.
INSIDE = "original_payload"
#: Larger messages are not looked into for a search.
MOST_SEARCHED = 64 * 1024


@dataclass(frozen=True)
class Version:
    """An event's bytes. `number`: of the signed version, 0 as it came; None: it has no bytes."""

    number: int
    raw: bytes | None

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the bytes."""
        return sha256(self.raw or b"").hexdigest()


def as_it_came(row: QuarantinedEvent) -> Version:
    """Return the event as it came: the message, or the event inside it."""
    raw = None if row.raw is None else bytes(row.raw)
    return Version(0, event_inside(raw) if row.wrapped else raw)


def newest_version(row: QuarantinedEvent) -> Version:
    """Return the newest signed version; without one, the event as it came."""
    edit = QuarantineEdit.objects.filter(event=row).signed().only("number", "raw").first()
    return Version(edit.number, bytes(edit.raw)) if edit else as_it_came(row)


def event_inside(raw: bytes | None) -> bytes | None:
    """Return the event inside a message of dead letters, exactly; the message if it has none."""
    document = parsed(raw)
    inside = document.get(INSIDE) if isinstance(document, dict) else None
    if isinstance(inside, dict):
        return written(inside).encode()
    return inside.encode() if isinstance(inside, str) else raw


def parsed(raw: bytes | None) -> Any:
    """Return the document, or None where the bytes are none."""
    try:
        return exact_document_of(raw or b"")
    except (NotJson, Invalid):
        return None


def document_in(raw: bytes | None, *, wrapped: bool) -> Any:
    """As `parsed`, of the event inside; None for a message that is too large to be searched."""
    if raw is None or len(raw) > MOST_SEARCHED:
        return None
    document = parsed(raw)
    inside = document.get(INSIDE) if wrapped and isinstance(document, dict) else document
    return parsed(inside.encode()) if isinstance(inside, str) else inside
