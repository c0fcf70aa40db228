"""Reads the bytes of a payment event: what it is, or why it is none. Pure functions."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

from apps.common.errors import Invalid
from apps.common.exact_json import written
from apps.common.strict_json import NotJson, exact_document_of

SCHEMA_VERSION = 1
#: Temporal takes longer and stranger ids; headers of HTTP and our columns do not.
LONGEST_ID = 150
_ID = re.compile(rf"[!-~]{{1,{LONGEST_ID}}}", re.ASCII)
#: A number that is kept as it was sent, in the raw bytes and in jsonb.
MOST_DIGITS, MOST_EXPONENT = 40, 30
_BIGINT = 2**63 - 1
#: The longest texts; the columns have these widths.
TEXTS: Mapping[str, int] = {
    "provider": 60,
    "provider_event_id": 200,
    "event_type": 100,
    "status": 40,
    "currency": 10,
    "merchant_id": 100,
    "customer_id": 100,
    "payment_method_type": 40,
    "card_brand": 40,
    "card_last_four": 4,
    "failure_code": 100,
    "failure_message": 1000,
}
TIMES = ("provider_created_at", "processed_at")
#: Fields that may not differ between two messages of the same event. Providers stamp this one anew
#: whenever they send.
UNSTAMPED = "processed_at"


@dataclass(frozen=True)
class Event:
    """A readable event. `fields`: the known fields that it has, checked, with currency in capitals
    and status in small letters; `document`: all of it."""

    event_id: str
    fields: dict[str, Any]
    document: dict[str, Any] = field(repr=False)

    # Only who takes events in needs it, and it takes longer than all the rest.
    @cached_property
    def digest(self) -> str:
        """The digest of its content without `processed_at` (SHA-256, hex)."""
        return digest_of(self.document)


@dataclass(frozen=True)
class Unreadable:
    """Why bytes are no event: a stable code, the field if one is wrong, and a sentence."""

    code: str
    field: str = ""
    detail: str = ""
    event_id: str | None = None


class _Wrong(Exception):
    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.field, self.detail = code, field, detail


def read(
    raw: bytes | None, *, most_bytes: int, is_reserved: Callable[[str], bool]
) -> Event | Unreadable:
    """Return the event in the bytes, or why there is none. `is_reserved` says whether the id could
    be that of another workflow. Never raises."""
    if raw is None:
        return Unreadable("not_json", detail="The message has no value.")
    if len(raw) > most_bytes:
        return Unreadable("too_large", detail=f"It has {len(raw)} bytes, of {most_bytes} at most.")
    try:
        document = exact_document_of(raw, most_digits=MOST_DIGITS, most_exponent=MOST_EXPONENT)
    except Invalid as refused:
        return Unreadable(refused.code, detail=str(refused.detail))
    except NotJson as wrong:
        # A number that no column keeps is JSON, and of the wrong type for us.
        code = "wrong_type" if wrong.code == "number_out_of_range" else wrong.code
        return Unreadable(code, detail=str(wrong)[:300])
    return event_of(document, is_reserved=is_reserved)


def event_of(document: Any, *, is_reserved: Callable[[str], bool]) -> Event | Unreadable:
    """As `read`, for a document that was parsed."""
    if not isinstance(document, dict):
        return Unreadable("wrong_type", detail="It is not an object.")
    event_id: str | None = None
    try:
        event_id = _event_id(document, is_reserved)
        _schema(document)
        fields = _fields(document)
    except _Wrong as wrong:
        return Unreadable(wrong.code, wrong.field, wrong.detail, event_id)
    return Event(event_id, fields, document)


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the digest of the content that makes two messages the same event."""
    compared = {name: value for name, value in document.items() if name != UNSTAMPED}
    return sha256(written(compared).encode()).hexdigest()


# --- helpers --------------------------------------------------------------------------------------
def _event_id(document: dict[str, Any], is_reserved: Callable[[str], bool]) -> str:
    value = document.get("event_id")
    if value is None or value == "":
        raise _Wrong("event_id_missing", "event_id", "It has no event_id.")
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _Wrong(
            "event_id_invalid",
            "event_id",
            f"An event_id has 1 to {LONGEST_ID} printable ASCII characters and no space.",
        )
    if is_reserved(value):
        raise _Wrong(
            "event_id_reserved", "event_id", "Another workflow of this system could have this id."
        )
    return value


def _schema(document: dict[str, Any]) -> None:
    version = document.get("schema_version", SCHEMA_VERSION)
    if version is None:
        return
    if isinstance(version, bool) or not isinstance(version, int):
        raise _Wrong("wrong_type", "schema_version", "It is not a whole number.")
    if version != SCHEMA_VERSION:
        raise _Wrong("schema_unknown", "schema_version", f"Known is {SCHEMA_VERSION}.")


def _fields(document: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"event_id": document["event_id"], "schema_version": SCHEMA_VERSION}
    for name, longest in TEXTS.items():
        if (value := document.get(name)) is not None:
            fields[name] = _text(name, value, longest)
    for name in TIMES:
        if (value := document.get(name)) is not None:
            fields[name] = _time(name, value)
    if (value := document.get("amount_cents")) is not None:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _BIGINT:
            raise _Wrong("wrong_type", "amount_cents", "It is not a whole number of minor units.")
        fields["amount_cents"] = value
    if (value := document.get("metadata")) is not None:
        if not isinstance(value, dict):
            raise _Wrong("wrong_type", "metadata", "It is not an object.")
        fields["metadata"] = value
    # Producers write both in either case.
    for name, cased in (("currency", str.upper), ("status", str.lower)):
        if name in fields:
            fields[name] = cased(fields[name])
    return fields


def _text(name: str, value: Any, longest: int) -> str:
    if not isinstance(value, str):
        raise _Wrong("wrong_type", name, "It is not a text.")
    if len(value) > longest:
        raise _Wrong("wrong_type", name, f"It has more than {longest} characters.")
    return value


def _time(name: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(name, value, 40))
        # Without an offset it is UTC, as `datetime.utcnow().isoformat()` writes it.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong("wrong_type", name, "It is not a time as in ISO 8601.") from None
