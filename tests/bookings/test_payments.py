"""The client of the payment service, against its simulator over real HTTP."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from apps.bookings.payments import Charge, charge, charge_key, refund, take_back
from apps.common.correlation import correlated
from apps.common.errors import Unavailable
from apps.engine.contracts import EffectState
from apps.outbound.calls import Refused
from apps.simulators.http import Answer
from apps.simulators.payments import PaymentSink
from tests.simulators.running import Recorder, running
from tests.support import PLAIN


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running({"payments": PaymentSink().answer}) as address:
        yield f"{address}/payments"


@pytest.fixture
def behave(url: str, settings: Any) -> Any:
    settings.PAYMENT_SERVICE_URL = url

    def told(**behaviour: Any) -> None:
        httpx2.post(f"{url}/behaviour", json=behaviour, verify=PLAIN).raise_for_status()

    told()
    return told


def it(name: str, amount: str = "1500.10", currency: str = "NGN") -> Charge:
    key = charge_key(f"booking-{name}-1", "processPayment")
    return Charge(key, name, f"reservation-{name}", Decimal(amount), currency)


def effect(url: str, charge: Charge) -> dict[str, Any]:
    counts: dict[str, Any] = httpx2.get(
        f"{url}/effects", params={"key": charge.key}, verify=PLAIN
    ).json()
    return counts


def test_a_charge_repeated_is_one_transaction(url: str, behave: Any) -> None:
    transactions = {charge(it("repeated")) for _ in range(3)}
    assert len(transactions) == 1
    assert effect(url, it("repeated"))["executions"] == 1


def test_what_is_sent_is_the_contract(settings: Any) -> None:
    recorder = Recorder()
    recorder.says = Answer(200, {"transactionId": "T-1"})
    with running({"pay": recorder.answer}) as address, correlated("c", activity_id="7"):
        settings.PAYMENT_SERVICE_URL = f"{address}/pay/"
        charge(it("someone@example.org", "25000", "JPY"))
    (request,) = recorder.heard
    assert (request.method, request.parts) == ("POST", ["api", "v1", "payments", "charge"])
    assert request.json() == {
        "userId": "someone@example.org",
        "amount": "25000",
        "currency": "JPY",
        "metadata": {"reservationId": "reservation-someone@example.org"},
    }
    assert request.headers["idempotency-key"] == "booking-someone@example.org-1:processPayment"
    assert request.headers["x-activity-id"] == "7"


def test_a_refusal_is_told_apart_and_charges_nothing(url: str, behave: Any) -> None:
    behave(refuse_targets=["poor"])
    with pytest.raises(Refused) as no:
        charge(it("poor"))
    assert no.value.code == "target_refused"
    assert effect(url, it("poor"))["executions"] == 0


def test_a_lost_answer_is_no_refusal_and_the_same_key_finds_the_charge(
    url: str, behave: Any
) -> None:
    behave(fail_next=1, fail_after_effect=True, fail_status=500)
    with pytest.raises(Unavailable) as lost:
        charge(it("lost"))
    assert lost.value.code == "payment_service_unavailable"
    assert charge(it("lost")) == effect(url, it("lost"))["receipt"]
    assert effect(url, it("lost"))["executions"] == 1


def test_down_or_late_is_no_refusal_either(behave: Any, settings: Any) -> None:
    behave(down=True)
    with pytest.raises(Unavailable):
        charge(it("down"))
    with pytest.raises(Unavailable):
        take_back(it("down"), void_only=False)
    behave(answer_delay_seconds=5.0)
    settings.PAYMENT_SERVICE_TIMEOUT_SECONDS = 0.2
    with pytest.raises(Unavailable):
        charge(it("late"))


@pytest.mark.parametrize("by", ["key", "transaction"])
def test_all_of_a_charge_is_taken_back_once(url: str, behave: Any, by: str) -> None:
    mine = it(f"back-{by}")
    transaction = charge(mine)
    known = transaction if by == "transaction" else ""
    for _ in range(2):
        assert take_back(mine, transaction_id=known, void_only=False) == (EffectState.REVERSED, "")
    assert effect(url, mine)["reversals"] == 1
    with pytest.raises(Refused):
        charge(mine)


def test_what_never_arrived_is_voided_and_never_charges(url: str, behave: Any) -> None:
    mine = it("void")
    assert take_back(mine, void_only=False) == (EffectState.REFUSED, "")
    with pytest.raises(Refused) as no:
        charge(mine)
    assert no.value.code == "voided"
    assert effect(url, mine)["executions"] == 0


def test_void_only_leaves_a_charge_that_took_effect(url: str, behave: Any) -> None:
    mine = it("stands")
    transaction = charge(mine)
    assert take_back(mine, void_only=True) == (EffectState.DONE, transaction)
    assert effect(url, mine)["reversals"] == 0
    assert take_back(mine, void_only=False) == (EffectState.REVERSED, "")


def test_parts_are_sent_back_once_for_a_key_and_never_more_than_the_charge(
    url: str, behave: Any
) -> None:
    mine = it("part", "100.00")
    transaction = charge(mine)
    half = {refund(mine, Decimal("50.00"), key="part:refund:1") for _ in range(3)}
    assert len(half) == 1
    refund(mine, Decimal("49.99"), transaction_id=transaction, key="part:refund:2")
    with pytest.raises(Refused) as no:
        refund(mine, Decimal("0.02"), key="part:refund:3")
    assert no.value.code == "refund_exceeds_charge"
    assert list(effect(url, mine)["refunds"].values()) == ["50.00", "49.99"]


def test_a_refund_without_an_answer_is_unknown(behave: Any) -> None:
    mine = it("unknown")
    charge(mine)
    behave(fail_reversals=1)
    with pytest.raises(Unavailable):
        refund(mine, Decimal("1.00"), key="unknown:refund:1")
    refund(mine, Decimal("1.00"), key="unknown:refund:1")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"transactionId": ""},
        {"transactionId": 5},
        {"transactionId": None},
        {"transactionId": "x" * 121},
        {"transactionId": "a\x00b"},
        [],
        "T-1",
    ],
)
def test_an_answer_that_cannot_be_understood_is_an_unknown_outcome(
    settings: Any, answer: Any
) -> None:
    recorder = Recorder()
    recorder.says = Answer(200, answer)
    with running({"pay": recorder.answer}) as address:
        settings.PAYMENT_SERVICE_URL = f"{address}/pay"
        for call in (
            lambda: charge(it("nonsense")),
            lambda: take_back(it("nonsense"), void_only=False),
            lambda: refund(it("nonsense"), Decimal(1), key="k"),
        ):
            with pytest.raises(Unavailable):
                call()


def test_an_executed_that_was_not_asked_about_is_a_refusal(settings: Any) -> None:
    recorder = Recorder()
    recorder.says = Answer(409, {"code": "executed", "transactionId": "T-1"})
    with running({"pay": recorder.answer}) as address:
        settings.PAYMENT_SERVICE_URL = f"{address}/pay"
        with pytest.raises(Refused):
            take_back(it("odd"), void_only=False)
