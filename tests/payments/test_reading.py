"""What the bytes of a payment event are read as, and what is refused with which code."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from apps.payments.reading import Event, Unreadable, read
from tests.payments.samples import an_event, raw


def reading(value: bytes | None, most: int = 1_048_576) -> Event | Unreadable:
    return read(value, most_bytes=most, is_reserved=lambda it: it.startswith("intervention-"))


def test_an_event_is_read_with_its_fields_in_their_types() -> None:
    event = reading(raw(an_event("e-1", unknown={"kept": [1]})))
    assert isinstance(event, Event)
    assert (event.event_id, event.fields["currency"], event.fields["amount_cents"]) == (
        *("e-1", "USD"),
        5000,
    )
    assert event.fields["provider_created_at"] == datetime(2026, 1, 1, 10, tzinfo=UTC)
    assert event.document["unknown"] == {"kept": [1]}


def test_metadata_keeps_every_digit() -> None:
    text = raw(an_event()).replace(b'"A-1"', b'10.10, "big": 12345678901234567890')
    event = reading(text)
    assert isinstance(event, Event)
    assert event.fields["metadata"] == {"order": Decimal("10.10"), "big": 12345678901234567890}


def test_the_time_of_processing_makes_no_other_event() -> None:
    def digest(**changes: Any) -> str:
        event = reading(raw(an_event("e-1", **changes)))
        assert isinstance(event, Event)
        return event.digest

    assert digest(processed_at="2026-02-02T00:00:00Z") == digest(processed_at=None) == digest()
    assert digest(amount_cents=5001) != digest()
    assert digest(metadata={"order": "A-1", "x": None}) != digest()


GOOD = raw(an_event("e-1"))


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        (None, "not_json", ""),
        (b"", "not_json", ""),
        (b"{", "not_json", ""),
        (b"\xff\xfe{\x00}\x00", "not_json", ""),
        (b"\xef\xbb\xbf{}", "not_json", ""),
        (b'{"event_id": NaN}', "not_json", ""),
        (b'{"event_id": -Infinity}', "not_json", ""),
        (b'{"event_id": "\xff"}', "not_json", ""),
        (b'{"event_id":"e","amount_cents":1,"amount_cents":999}', "duplicate_key", ""),
        (b'{"event_id":"e","a":1,"\\u0061":2}', "duplicate_key", ""),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "too_deep", ""),
        (b"[" * 100_000, "too_deep", ""),
        (b" " * 2000, "too_large", ""),
        (b'{"event_id": "a\\u0000"}', "invalid_text", ""),
        (b'{"event_id": "e", "x\\u0000": 1}', "invalid_text", ""),
        (b'{"event_id": "\\ud800"}', "invalid_text", ""),
        (b"[]", "wrong_type", ""),
        (b"null", "wrong_type", ""),
        (b"5", "wrong_type", ""),
        (b"{}", "event_id_missing", "event_id"),
        (b'{"event_id": null}', "event_id_missing", "event_id"),
        (b'{"event_id": ""}', "event_id_missing", "event_id"),
        (b'{"event_id": 5}', "event_id_invalid", "event_id"),
        ('{"event_id": "évt-1"}'.encode(), "event_id_invalid", "event_id"),
        (b'{"event_id": "a\\nb"}', "event_id_invalid", "event_id"),
        (b'{"event_id": "a b"}', "event_id_invalid", "event_id"),
        (b'{"event_id": "%s"}' % (b"x" * 151), "event_id_invalid", "event_id"),
        (b'{"event_id": "intervention-1-execution"}', "event_id_reserved", "event_id"),
        (GOOD.replace(b"5000", b'"5000"'), "wrong_type", "amount_cents"),
        (GOOD.replace(b"5000", b"50.5"), "wrong_type", "amount_cents"),
        (GOOD.replace(b"5000", b"true"), "wrong_type", "amount_cents"),
        (GOOD.replace(b"5000", b"9" * 30), "wrong_type", "amount_cents"),
        (GOOD.replace(b"5000", b"9" * 50), "wrong_type", ""),
        (GOOD.replace(b'"A-1"', b"1e400"), "wrong_type", ""),
        (GOOD.replace(b'"A-1"', b"1E200000"), "wrong_type", ""),
        (GOOD.replace(b'"usd"', b"7"), "wrong_type", "currency"),
        (GOOD.replace(b'"4242"', b'"42424"'), "wrong_type", "card_last_four"),
        (GOOD.replace(b"2026-01-01T10:00:00Z", b"yesterday"), "wrong_type", "provider_created_at"),
        (GOOD.replace(b'{"order": "A-1"}', b"[1]"), "wrong_type", "metadata"),
        (GOOD[:-1] + b', "schema_version": 2}', "schema_unknown", "schema_version"),
        (GOOD[:-1] + b', "schema_version": "1"}', "wrong_type", "schema_version"),
    ],
)
def test_what_is_no_event_has_a_code(value: bytes | None, code: str, field: str) -> None:
    found = reading(value, most=1_048_576 if value is None or len(value) != 2000 else 1999)
    assert isinstance(found, Unreadable)
    assert (found.code, found.field) == (code, field), found


def test_an_unreadable_event_with_an_id_is_known_by_it() -> None:
    found = reading(GOOD.replace(b"5000", b"true"))
    assert isinstance(found, Unreadable)
    assert found.event_id == "e-1"
