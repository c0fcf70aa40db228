"""The client of Paystack, against its simulator over real HTTP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from apps.common.correlation import correlated
from apps.common.errors import Invalid, Unavailable
from apps.outbound.calls import Refused
from apps.simulators.http import Answer
from apps.simulators.paystack import PaystackSink
from apps.wallets.paystack import PaymentStatus, RefundStatus, initialize, refund, verify
from apps.wallets.paystack_values import amount_of
from tests.simulators.running import Recorder, running
from tests.support import PLAIN

Told = Callable[..., Any]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    sink = PaystackSink(secret="sk_test_demo", webhook_url="http://127.0.0.1:9/")
    with running({"paystack": sink.answer}) as address:
        yield f"{address}/paystack"


@pytest.fixture(scope="module", autouse=True)
def other() -> Iterator[None]:
    """A Paystack that answers what `answering` says."""
    with running({"api": OTHER.answer}) as address:
        OTHER.url = f"{address}/api"
        yield


class Other(Recorder):
    url = ""


OTHER = Other()


@contextmanager
def answering(settings: Any, status: int, answer: Any) -> Iterator[Recorder]:
    """Paystack always answers this; what it was sent."""
    OTHER.says = Answer(status, answer)
    OTHER.heard.clear()
    settings.PAYSTACK_URL = OTHER.url
    yield OTHER


@pytest.fixture
def tell(url: str, settings: Any) -> Told:
    """Tells the simulator something, such as `tell("pay/r-1", status="failed")`."""
    settings.PAYSTACK_URL = url

    def told(path: str, **body: Any) -> Any:
        answer = httpx2.post(f"{url}/{path}", json=body, verify=PLAIN)
        answer.raise_for_status()
        return answer.json()

    told("behaviour")
    return told


def opened(reference: str, amount: str = "1500.10", currency: str = "NGN") -> Any:
    return initialize(
        reference=reference, email="rider@example.org", amount=Decimal(amount), currency=currency
    )


def paid(tell: Told, reference: str, amount: str = "1500.10") -> str:
    """Opened and paid; the transaction's id."""
    opened(reference, amount)
    answer: dict[str, str] = tell(f"pay/{reference}", webhook=False)
    return answer["transactionId"]


# --- opening -------------------------------------------------------------------------------------
def test_a_payment_is_opened_with_an_address_for_the_payer(url: str, tell: Told) -> None:
    one = opened("open-1")
    assert one.authorization_url.endswith(f"/paystack/checkout/{one.access_code}")
    assert httpx2.get(one.authorization_url, verify=PLAIN).status_code == 200


def test_a_reference_that_was_sent_before_has_a_code_of_its_own(tell: Told) -> None:
    opened("again")
    with pytest.raises(Refused) as no:
        opened("again")
    assert no.value.code == "duplicate_reference"
    tell("behaviour", refuse_emails=["rider@example.org"])
    with pytest.raises(Refused) as other:
        opened("again-2")
    assert other.value.code == "invalid_email_address"


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ({"status": False, "message": "Duplicate Transaction Reference"}, "duplicate_reference"),
        ({"status": False, "message": "Currency not supported by merchant"}, "refused"),
        ({"status": False, "message": "No", "code": "no_money"}, "no_money"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 422])
def test_a_status_of_false_is_a_refusal_whatever_the_status_of_http(
    settings: Any, says: Any, code: str, status: int
) -> None:
    with answering(settings, status, says), pytest.raises(Refused) as no:
        opened("r-1")
    assert (no.value.code, no.value.reason) == (code, says["message"])


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, {"status": False, "message": "Invalid key"}),
        (403, {"status": False, "message": "Your IP address is not allowed"}),
        (429, {"status": False, "message": "Slow down"}),
        (500, {"status": False, "message": "Duplicate Transaction Reference"}),
        (404, {"message": "not here"}),
        (400, {"status": "false", "message": "Bad"}),
        (400, {"status": False}),
        (302, {"status": True, "data": {}}),
    ],
)
def test_what_says_nothing_about_this_call_is_no_refusal(
    settings: Any, status: int, says: Any
) -> None:
    with answering(settings, status, says):
        for call in (lambda: opened("r-1"), lambda: verify("r-1"), lambda: sent_back("5")):
            with pytest.raises(Unavailable) as no:
                call()
            assert no.value.code == "paystack_unavailable"


def test_a_lost_answer_uses_the_reference_up(tell: Told) -> None:
    tell("behaviour", fail_next=1, fail_after_effect=True)
    with pytest.raises(Unavailable):
        opened("lost")
    with pytest.raises(Refused) as no:
        opened("lost")
    assert no.value.code == "duplicate_reference"
    assert verify("lost").status is PaymentStatus.ABANDONED


def test_another_key_is_an_outage(tell: Told, settings: Any) -> None:
    settings.PAYSTACK_SECRET_KEY = "sk_test_other"
    with pytest.raises(Unavailable):
        opened("other-key")


def test_what_is_sent_is_the_contract(settings: Any) -> None:
    data = {"authorization_url": "https://checkout.example/a", "access_code": "a", "reference": "r"}
    with answering(settings, 200, {"status": True, "data": data}) as recorder:
        with correlated("c", activity_id="3"):
            opened("r", "0.29")
        assert recorder.heard[0].json() == {
            "reference": "r",
            "email": "rider@example.org",
            "amount": 29,
            "currency": "NGN",
        }
    headers = recorder.heard[0].headers
    assert headers["authorization"] == "Bearer sk_test_demo"
    assert (headers["x-activity-id"], headers["idempotency-key"]) == ("3", "r")


@pytest.mark.parametrize(
    "change",
    [
        {"authorization_url": "javascript:alert(1)"},
        {"authorization_url": "ftp://checkout.example/a"},
        {"authorization_url": "https:///a"},
        {"authorization_url": "https://[bad/a"},
        {"authorization_url": "https://a.example/" + "x" * 500},
        {"authorization_url": None},
        {"access_code": 5},
        {"access_code": ""},
        {"reference": "other"},
    ],
)
def test_an_address_that_is_none_is_not_given_to_a_payer(settings: Any, change: Any) -> None:
    data = {"authorization_url": "https://checkout.example/a", "access_code": "a", "reference": "r"}
    says = {"status": True, "data": data | change}
    with answering(settings, 200, says), pytest.raises(Unavailable):
        opened("r")


# --- amounts -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.29", "NGN", 29),
        ("1500.10", "NGN", 150010),
        ("999999.99", "GHS", 99999999),
        ("25000", "JPY", 25000),
        ("1.250", "KWD", 1250),
    ],
)
def test_amounts_are_exact_there_and_back(
    url: str, tell: Told, amount: str, currency: str, minor: int
) -> None:
    reference = f"exact-{minor}"
    opened(reference, amount, currency)
    known = httpx2.get(f"{url}/transactions", verify=PLAIN).json()["transactions"][reference]
    assert known["amount"] == minor
    tell(f"pay/{reference}", webhook=False)
    one = verify(reference)
    assert (one.amount, one.currency) == (Decimal(amount), currency)
    assert sent_back(one.transaction_id, currency=currency).amount == Decimal(amount)


def test_an_amount_that_no_column_can_hold_is_none() -> None:
    assert amount_of(10**18 - 1, "NGN") == Decimal("9999999999999999.99")
    assert amount_of(10**18, "NGN") is None
    assert amount_of(10**16 - 1, "JPY") == Decimal(10**16 - 1)
    assert amount_of(str(10**16), "JPY") is None
    assert amount_of(10**4000, "NGN") is None


def test_an_amount_between_two_kobo_is_not_sent(settings: Any) -> None:
    settings.PAYSTACK_URL = "http://127.0.0.1:9"
    with pytest.raises(Invalid):
        opened("r-1", "0.291")
    with pytest.raises(Invalid):
        refund("5", Decimal("0.5"), currency="JPY", key="k")


# --- verifying -----------------------------------------------------------------------------------
def test_what_is_paid_is_a_success_with_an_id_of_64_bits(tell: Told) -> None:
    number = paid(tell, "paid-1")
    one = verify("paid-1")
    assert one.status is PaymentStatus.SUCCESS
    assert (one.amount, one.currency) == (Decimal("1500.10"), "NGN")
    assert one.transaction_id == number
    assert int(number) > 2**63
    assert one.paid_at is not None
    assert one.paid_at.tzinfo is not None


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("failed", "failed"),
        ("abandoned", "abandoned"),
        ("pending", "pending"),
        ("ongoing", "pending"),
        ("processing", "pending"),
        ("queued", "pending"),
        ("reversed", "failed"),
    ],
)
def test_the_status_is_that_of_the_payment_and_not_of_the_call(
    tell: Told, said: str, status: str
) -> None:
    opened(f"is-{said}")
    tell(f"pay/is-{said}", status=said)
    assert verify(f"is-{said}").status == status


def test_a_failed_card_may_be_followed_by_one_that_pays(tell: Told) -> None:
    opened("second-card")
    tell("pay/second-card", status="failed")
    assert verify("second-card").status is PaymentStatus.FAILED
    tell("pay/second-card", webhook=False)
    assert verify("second-card").status is PaymentStatus.SUCCESS


def test_another_amount_or_currency_is_told(tell: Told) -> None:
    opened("other-amount")
    tell("pay/other-amount", amount=100, currency="GHS", webhook=False)
    one = verify("other-amount")
    assert (one.amount, one.currency) == (Decimal("1.00"), "GHS")


def test_a_reference_that_nobody_sent_is_unknown(tell: Told) -> None:
    assert verify("nobody/../x?y").status is PaymentStatus.UNKNOWN


def test_a_verify_that_fails_is_no_answer(tell: Told) -> None:
    opened("fails")
    tell("behaviour", fail_verify=1)
    with pytest.raises(Unavailable):
        verify("fails")
    assert verify("fails").status is PaymentStatus.ABANDONED
    tell("behaviour", down=True)
    with pytest.raises(Unavailable):
        verify("fails")


GOOD = {
    "id": 18446744073709551615,
    "status": "success",
    "reference": "r",
    "amount": 150010,
    "currency": "NGN",
    "paid_at": "2026-11-29T20:00:00.000Z",
}


def test_the_greatest_id_is_text(settings: Any) -> None:
    with answering(settings, 200, {"status": True, "data": GOOD}):
        one = verify("r")
    assert one.transaction_id == "18446744073709551615"
    assert one.paid_at == datetime(2026, 11, 29, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "Success"},
        {"status": True},
        {"status": None},
        {"status": ["success"]},
        {"reference": "other"},
        {"reference": None},
        {"amount": 150010.0},
        {"amount": 1500.1},
        {"amount": -1},
        {"amount": True},
        {"amount": None},
        {"amount": "1500.10"},
        {"amount": "١٢"},
        {"amount": 10**30},
        {"currency": "ngn"},
        {"currency": None},
        {"currency": "NGN\n"},
        {"currency": 5},
        {"id": 2**64},
        {"id": 0},
        {"id": -5},
        {"id": True},
        {"id": "x"},
        {"id": None},
        {"id": 5.0},
        {"paid_at": "yesterday"},
        {"paid_at": "2026-11-29T20:00:00"},
        {"paid_at": 5},
    ],
)
def test_what_is_not_what_it_should_be_is_no_answer(settings: Any, change: Any) -> None:
    says = {"status": True, "data": GOOD | change}
    with answering(settings, 200, says), pytest.raises(Unavailable):
        verify("r")


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        "yes",
        {"status": True},
        {"status": True, "data": None},
        {"status": True, "data": [GOOD]},
        {"status": 1, "data": GOOD},
        {"status": "true", "data": GOOD},
        {"data": GOOD},
        {"status": False, "data": GOOD, "message": "Another trouble"},
    ],
)
def test_an_envelope_that_is_none_is_no_answer(settings: Any, answer: Any) -> None:
    with answering(settings, 200, answer), pytest.raises(Unavailable):
        verify("r")


# --- refunds -------------------------------------------------------------------------------------
def sent_back(number: str, amount: str = "", *, currency: str = "NGN", key: str = "") -> Any:
    whole = Decimal(amount) if amount else None
    return refund(number, whole, currency=currency, key=key or f"key-{number}")


def test_a_payment_is_sent_back_whole_or_in_parts(tell: Told) -> None:
    number = paid(tell, "back-1", "100.00")
    part = sent_back(number, "25.50", key="back-1:1")
    assert (part.amount, part.currency, part.status) == (
        Decimal("25.50"),
        "NGN",
        RefundStatus.PENDING,
    )
    assert sent_back(number, key="back-1:2").amount == Decimal("74.50")
    with pytest.raises(Refused):
        sent_back(number, "0.01", key="back-1:3")


@pytest.mark.parametrize("ignore_keys", [False, True])
def test_a_refund_is_made_once_for_its_key_though_the_answer_was_lost(
    url: str, tell: Told, ignore_keys: bool
) -> None:
    """Paystack promises nothing for the header: the refund is found by the note that it bears."""
    reference = f"lost-refund-{ignore_keys}"
    number = paid(tell, reference, "100.00")
    tell("behaviour", fail_next=1, fail_after_effect=True, ignore_keys=ignore_keys)
    with pytest.raises(Unavailable):
        sent_back(number, "30.00", key=f"{reference}:1")
    assert sent_back(number, "30.00", key=f"{reference}:1") == sent_back(
        number, "30.00", key=f"{reference}:1"
    )
    refunds = httpx2.get(f"{url}/transactions", verify=PLAIN).json()["refunds"]
    assert [one["amount"] for one in refunds if one["reference"] == reference] == [3000]


def test_a_refund_that_failed_later_says_so(tell: Told) -> None:
    number = paid(tell, "fails-later")
    one = sent_back(number)
    tell(f"refunds/{one.refund_id}", status="failed", webhook=False)
    assert sent_back(number).status is RefundStatus.FAILED


@pytest.mark.parametrize(
    "listed",
    [
        None,
        {},
        [5],
        [{"merchant_note": "key-5", "status": "pending"}],
        [{"merchant_note": "key-5", "status": "?", "id": 1, "amount": 1, "currency": "NGN"}],
        [{"merchant_note": f"other-{n}"} for n in range(50)],
    ],
)
def test_nothing_is_sent_back_while_it_is_unknown_what_was(settings: Any, listed: Any) -> None:
    says = {"status": True, "data": listed}
    with answering(settings, 200, says) as recorder, pytest.raises(Unavailable):
        sent_back("5")
    assert {request.method for request in recorder.heard} == {"GET"}
