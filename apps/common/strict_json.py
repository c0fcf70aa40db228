"""JSON as RFC 8259 has it: no NaN or Infinity; and no text that PostgreSQL cannot keep."""

import json
from typing import Any

from apps.common.errors import Invalid


def document_of(body: bytes) -> Any:
    """The document. ValueError for what is no JSON; Invalid `invalid_text`."""
    document = json.loads(body, parse_constant=_no_constant)
    # Both can only come in as escapes: JSON forbids raw control characters, UTF-8 surrogates.
    if b"\\u" in body and not _storable(document):
        raise Invalid("A text holds characters that cannot be stored.", code="invalid_text")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _storable(value: Any) -> bool:
    """Whether PostgreSQL can keep every text in the document. Not recursive: it may be deep."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
                return False
            if "\0" in item:
                return False
        elif isinstance(item, dict):
            waiting.extend(item)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return True
