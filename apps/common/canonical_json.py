"""Canonical JSON and the hash over it: two equal documents give the same bytes."""

import hashlib
import json
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID


def _encode(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return str(value.value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def canonical_json(document: Any) -> str:
    """The document as JSON with sorted keys, no spaces, no NaN. TypeError on unknown types."""
    return json.dumps(
        document,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=_encode,
    )


def plain(document: Any) -> Any:
    """The document with Decimals, UUIDs and dates as strings: what a jsonb column keeps."""
    return json.loads(canonical_json(document))


def digest(document: Any, *, salt: str = "") -> str:
    """SHA-256 in hex over `salt` and the canonical JSON."""
    return hashlib.sha256(f"{salt}{canonical_json(document)}".encode()).hexdigest()
