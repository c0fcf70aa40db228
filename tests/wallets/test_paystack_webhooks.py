"""Whose a webhook of Paystack is, and what it says."""

import hmac
import json
from decimal import Decimal
from hashlib import sha512
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.wallets.paystack_webhooks import Event, NotAnEvent, event_of, signature_valid

BODY = b'{"event": "charge.success", "data": {"url": "https:\\/\\/x", "sign": "\\u20a6"} }'
CHARGE = {"id": 2**64 - 1, "reference": "top-up-1", "amount": 150010, "currency": "NGN"}


def signed(body: bytes, secret: str = "sk_test_demo") -> str:
    return hmac.new(secret.encode(), body, sha512).hexdigest()


# --- signatures ----------------------------------------------------------------------------------
def test_the_signature_is_over_the_bytes_as_they_came() -> None:
    assert signature_valid(BODY, signed(BODY))
    again = json.dumps(json.loads(BODY)).encode()
    assert again != BODY
    assert not signature_valid(again, signed(BODY))


def test_the_former_key_signs_as_long_as_it_is_set(settings: Any) -> None:
    header = signed(BODY, "sk_before")
    assert not signature_valid(BODY, header)
    settings.PAYSTACK_SECRET_KEY_OLD = "sk_before"
    assert signature_valid(BODY, header)
    assert signature_valid(BODY, signed(BODY))


@pytest.mark.parametrize("header", ["", "0" * 128, "Ω" * 128, "\udcff", "x" * 100_000, "a\x00b"])
def test_a_header_that_is_none_is_wrong_and_not_an_error(header: str) -> None:
    assert not signature_valid(BODY, header)


def test_case_blanks_and_a_part_of_it_do_not_count() -> None:
    good = signed(BODY)
    for header in (good.upper(), f" {good}", f"{good}\n", good[:-1], f"sha512={good}"):
        assert not signature_valid(BODY, header)


def test_no_key_signs_nothing(settings: Any) -> None:
    settings.PAYSTACK_SECRET_KEY = settings.PAYSTACK_SECRET_KEY_OLD = ""
    assert not signature_valid(BODY, signed(BODY, ""))


# --- events --------------------------------------------------------------------------------------
def event(name: Any, data: Any) -> Event | NotAnEvent:
    return event_of(json.dumps({"event": name, "data": data}).encode())


def test_a_charge_says_what_was_paid() -> None:
    assert event("charge.success", CHARGE) == Event(
        "charge.success", "top-up-1", "18446744073709551615", Decimal("1500.10"), "NGN"
    )


def test_a_refund_and_a_dispute_are_about_their_payment() -> None:
    about = {"transaction_reference": "top-up-1", "amount": "10000", "currency": "NGN", "id": "5"}
    assert event("refund.failed", about) == Event(
        "refund.failed", "top-up-1", "", Decimal("100.00"), "NGN"
    )
    dispute = {"id": 7, "refund_amount": 5, "currency": "NGN", "transaction": CHARGE}
    assert event("charge.dispute.create", dispute) == Event(
        "charge.dispute.create",
        "top-up-1",
        "18446744073709551615",
        Decimal("1500.10"),
        "NGN",
    )


def test_an_event_about_something_else_has_a_name_and_no_payment() -> None:
    known = event("customeridentification.success", {"id": 5, "customer_code": "CUS_x"})
    assert known == Event("customeridentification.success", "", "", None, "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"{", "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"event": NaN}', "not_json"),
        (b'{"event": "a", "event": "b"}', "not_json"),
        (b'{"event": "a\\u0000", "data": {}}', "not_json"),
        (b'{"event": "\\ud800", "data": {}}', "not_json"),
        (b'{"event": "a", "data": {"amount": 1e99999999999999999999}}', "not_json"),
        (b"1" * 5000, "not_json"),
        (b"null", "no_name"),
        (b"[]", "no_name"),
        (b"{}", "no_name"),
        (b'{"event": 5, "data": {}}', "no_name"),
        (b'{"event": "", "data": {}}', "no_name"),
        (b'{"event": "charge.success"}', "no_data"),
        (b'{"event": "charge.success", "data": []}', "no_data"),
        (b'{"event": "charge.success", "data": {}}', "reference_invalid"),
        (b'{"event": "refund.failed", "data": {}}', "reference_invalid"),
    ],
)
def test_what_is_no_event_has_a_reason(body: bytes, reason: str) -> None:
    assert event_of(body) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reference": 5}, "reference_invalid"),
        ({"reference": "a\nb"}, "reference_invalid"),
        ({"reference": "x" * 201}, "reference_invalid"),
        ({"id": None}, "transaction_id_invalid"),
        ({"id": 2**64}, "transaction_id_invalid"),
        ({"id": 1.5}, "transaction_id_invalid"),
        ({"amount": None}, "amount_invalid"),
        ({"amount": 1500.1}, "amount_invalid"),
        ({"amount": -1}, "amount_invalid"),
        ({"amount": True}, "amount_invalid"),
        ({"currency": None}, "currency_invalid"),
        ({"currency": "naira"}, "currency_invalid"),
    ],
)
def test_a_charge_that_is_not_whole_is_not_read_in_parts(change: Any, reason: str) -> None:
    assert event("charge.success", CHARGE | change) == reason


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=200))
def test_no_bytes_raise(body: bytes) -> None:
    assert isinstance(event_of(body), Event | NotAnEvent)
    assert not signature_valid(body, body.decode("latin-1"))


@given(
    st.sampled_from(["charge.success", "refund.failed", "charge.dispute.create", "x"]),
    st.dictionaries(
        st.sampled_from(["id", "reference", "transaction_reference", "amount", "currency"]), _json
    ),
    _json,
)
def test_no_document_raises(name: str, data: dict[str, Any], paid: Any) -> None:
    read = event(name, {**data, "transaction": paid})
    assert isinstance(read, Event | NotAnEvent)
