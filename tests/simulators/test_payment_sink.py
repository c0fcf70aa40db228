"""The simulated payment service, where tests/bookings/test_payments.py does not look."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from apps.simulators.http import Refusal, Request
from apps.simulators.payments import PaymentSink

BODY = {
    "userId": "u-1",
    "amount": "100.00",
    "currency": "NGN",
    "metadata": {"reservationId": "r-1"},
}


def ask(sink: PaymentSink, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
    """A call below /payments; the status and the body of the answer."""
    method, _, path = path.rpartition(" ")
    query = {"key": key} if method == "GET" else {}
    headers = {"idempotency-key": key} if key else {}
    content = b"" if body is None else json.dumps(body).encode()
    request = Request(method or "POST", path.split("/"), query, headers, content)
    try:
        answer = asyncio.run(sink.answer(request))
    except Refusal as refusal:
        answer = refusal.answer
    return answer.status, answer.body


def charge(sink: PaymentSink, key: str, **change: Any) -> tuple[int, Any]:
    return ask(sink, "api/v1/payments/charge", BODY | change, key)


@pytest.mark.parametrize(
    ("change", "key", "code"),
    [
        ({}, "", "idempotency_key_missing"),
        ({"userId": 5}, "k", "invalid"),
        ({"amount": 100}, "k", "invalid"),
        ({"amount": "NaN"}, "k", "invalid"),
        ({"amount": "-1"}, "k", "invalid"),
        ({"currency": ""}, "k", "invalid"),
        ({"metadata": {}}, "k", "invalid"),
        ({"metadata": "r-1"}, "k", "invalid"),
    ],
)
def test_nonsense_gets_a_code_and_no_effect(change: Any, key: str, code: str) -> None:
    sink = PaymentSink()
    assert charge(sink, key, **change)[1]["code"] == code
    assert ask(sink, "GET effects", key="k")[1]["executions"] == 0


def test_a_key_belongs_to_its_body_and_its_amount() -> None:
    sink = PaymentSink()
    assert charge(sink, "k")[0] == 200
    assert charge(sink, "k", amount="200.00")[1]["code"] == "idempotency_key_reused"
    part = {"amount": "1.00", "currency": "NGN"}
    assert ask(sink, "api/v1/payments/k/refunds", part, "f")[0] == 200
    other = part | {"amount": "2.00"}
    answer = ask(sink, "api/v1/payments/k/refunds", other, "f")[1]
    assert answer["code"] == "idempotency_key_reused"
    other = part | {"currency": "GHS"}
    assert ask(sink, "api/v1/payments/k/refunds", other, "g")[1]["code"] == "currency_differs"
    answer = ask(sink, "api/v1/payments/nobody/refunds", part, "h")[1]
    assert answer["code"] == "charge_unknown"


def test_what_was_reversed_has_nothing_left_to_refund() -> None:
    sink = PaymentSink()
    charge(sink, "k")
    assert ask(sink, "api/v1/payments/k/reversal", {}, "r")[1]["state"] == "reversed"
    part = {"amount": "0.01", "currency": "NGN"}
    assert ask(sink, "api/v1/payments/k/refunds", part, "f")[1]["code"] == "refund_exceeds_charge"


def test_down_it_does_nothing_and_can_be_told_to_come_back() -> None:
    sink = PaymentSink()
    ask(sink, "behaviour", {"down": True})
    assert charge(sink, "k")[0] == 503
    assert ask(sink, "GET effects", key="k")[1]["requests"] == 0
    ask(sink, "behaviour", {})
    assert charge(sink, "k")[0] == 200


def test_in_a_file_charges_and_refunds_survive_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "payments.jsonl"
    sink = PaymentSink(file=file)
    _, charged = charge(sink, "k")
    ask(sink, "api/v1/payments/k/refunds", {"amount": "60.00", "currency": "NGN"}, "f")
    with file.open("a") as lines:
        lines.write('{"key": "k-2", "rece')
    again = PaymentSink(file=file)
    assert charge(again, "k")[1] == charged
    more = {"amount": "40.01", "currency": "NGN"}
    answer = ask(again, "api/v1/payments/k/refunds", more, "g")[1]
    assert answer["code"] == "refund_exceeds_charge"
    assert ask(again, "GET effects", key="k")[1]["executions"] == 1
