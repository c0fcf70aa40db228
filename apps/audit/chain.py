"""What the digest and the seal cover, byte by byte. docs/contracts/audit.md says it in words.

Pure functions: a third party can write them again in any language and verify an export.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from apps.audit.models import AuditEntry

#: `previous` of the first seal.
GENESIS = "0" * 64

#: The columns of an entry that its seal covers.
COVERED = (
    "id",
    "at",
    "actor_id",
    "actor_label",
    "via",
    "action",
    "outcome",
    "code",
    "subject_type",
    "subject_id",
    "correlation_id",
    "digest",
)

#: Largest integer that every JSON reader keeps exactly.
_EXACT = 2**53 - 1


def storable(value: Any) -> Any:
    """The value as JSON that PostgreSQL gives back exactly as it took it.

    jsonb refuses NUL and lone surrogates and rewrites floats (1e22 returns as a long integer), so
    the former become U+FFFD and the latter text. Total: what has no JSON form becomes its `str()`,
    because a refusal must be recorded whatever was in it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return storable(value.value)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return int(value) if -_EXACT <= value <= _EXACT else format(value, "d")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {clean_text(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(item) for item in value]
    return clean_text(str(value))


def clean_text(value: str) -> str:
    """The text without what a PostgreSQL text cannot hold."""
    if value.isascii() and "\0" not in value:
        return str(value)
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def instant(moment: datetime) -> str:
    """UTC with six digits after the second, e.g. 2026-01-31T09:30:00.000000+00:00."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def body_digest(body: Any, salt: str) -> str:
    """SHA-256 in hex over the salt followed by the canonical JSON of the body."""
    return _sha256(salt + _canonical(body))


def seal_hash(*, sequence: int, previous: str, sealed_at: str, entry: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the canonical JSON of the place in the chain and the entry.

    `entry` has the COVERED columns; times are texts as `instant` makes them. The body is covered
    through its digest alone, so erasing it leaves the hash as it is.
    """
    return _sha256(
        _canonical(
            {
                "sequence": sequence,
                "previous": previous,
                "sealed_at": sealed_at,
                "entry": {name: entry[name] for name in COVERED},
            }
        )
    )


def covered(entry: AuditEntry) -> dict[str, Any]:
    """The columns of an entry that its seal covers, as `seal_hash` takes them."""
    return {name: getattr(entry, name) for name in COVERED} | {"at": instant(entry.at)}


# One encoder for all: json.dumps would make one for each of a million entries.
_canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
