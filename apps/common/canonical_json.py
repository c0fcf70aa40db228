"""Canonical JSON and its hash: two equal documents give the same bytes."""

import hashlib
import json
import re
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

_SURROGATE = re.compile("[\ud800-\udfff]")


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
    """Return JSON with sorted keys, no spaces, no NaN. Raises TypeError for unknown types."""
    return json.dumps(
        document,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=_encode,
    )


def plain(document: Any) -> Any:
    """Return the document as a jsonb column stores it: Decimals, UUIDs and dates as strings."""
    return json.loads(canonical_json(document))


def as_it_came(raw: Any, *, most: int) -> Any:
    """Return input from outside for a jsonb column, to be shown later: unchanged if the column can
    store it in at most `most` characters; else `{"cut": …}` with its beginning. Never raises."""
    try:
        text = canonical_json(raw)
        storable = "\\u0000" not in text and not _SURROGATE.search(text)
        if storable and len(text) <= most:
            return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        text = _written(raw)
    return {"cut": ascii(text)[1:-1][:most]}


def _written(raw: Any) -> str:
    try:
        return ascii(raw)
    except (ValueError, RecursionError):
        return type(raw).__name__


def digest(document: Any, *, salt: str = "") -> str:
    """Return the SHA-256 in hex of `salt` and the canonical JSON."""
    return hashlib.sha256(f"{salt}{canonical_json(document)}".encode()).hexdigest()
