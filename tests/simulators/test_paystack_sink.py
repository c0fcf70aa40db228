"""The simulated Paystack: its payers, its webhooks and its file. Its interface is tested by its
client, tests/wallets/test_paystack.py."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from apps.simulators.http import Answer
from apps.simulators.paystack import PaystackSink
from apps.wallets.paystack_webhooks import Event, event_of, signature_valid
from tests.simulators.running import Recorder, running
from tests.support import PLAIN, eventually

BEARER = {"Authorization": "Bearer sk_test_demo"}


class Paystack:
    """The simulator, and a site that hears its webhooks."""

    def __init__(self, url: str, sink: PaystackSink, site: Recorder) -> None:
        self.url, self.sink, self.site = url, sink, site

    def get(self, path: str, **query: str) -> Any:
        url = f"{self.url}/{path}"
        return httpx2.get(url, params=query, headers=BEARER, verify=PLAIN).json()

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        answer = httpx2.post(f"{self.url}/{path}", json=body or {}, headers=BEARER, verify=PLAIN)
        assert answer.status_code == status, answer.text
        return answer.json()

    def open(self, reference: str, amount: int = 150010) -> dict[str, str]:
        body = {"reference": reference, "email": "r@example.org", "amount": amount}
        data: dict[str, str] = self.post("transaction/initialize", body)["data"]
        return data

    def heard(self) -> list[tuple[Event | Any, bool]]:
        """What the site heard since it was last asked, and whether it was signed."""
        heard = [
            (event_of(r.body), signature_valid(r.body, r.headers["x-paystack-signature"]))
            for r in self.site.heard
        ]
        self.site.heard.clear()
        return heard


@pytest.fixture(scope="module")
def module_paystack() -> Iterator[Paystack]:
    site = Recorder()
    sink = PaystackSink(secret="sk_test_demo", webhook_url="")
    with running({"paystack": sink.answer, "site": site.answer}) as url:
        sink.webhook_url = f"{url}/site/hook"
        yield Paystack(f"{url}/paystack", sink, site)


@pytest.fixture
def paystack(module_paystack: Paystack) -> Paystack:
    module_paystack.site.heard.clear()
    module_paystack.site.says = Answer(200, {})
    module_paystack.post("behaviour")
    return module_paystack


def test_who_pays_a_reference_has_the_site_told_by_a_signed_webhook(paystack: Paystack) -> None:
    paystack.open("hook-1")
    told = paystack.post("pay/hook-1")
    assert (told["status"], told["webhooks"]) == ("success", [200])
    ((event, signed),) = paystack.heard()
    assert signed
    assert (event.name, event.reference) == ("charge.success", "hook-1")
    assert event.transaction_id == told["transactionId"]
    assert str(event.amount) == "1500.10"


def test_its_bytes_are_not_those_of_another_writer(paystack: Paystack) -> None:
    paystack.open("bytes-1")
    paystack.post("pay/bytes-1")
    (request,) = paystack.site.heard
    again = json.dumps(json.loads(request.body)).encode()
    assert not signature_valid(again, request.headers["x-paystack-signature"])


@pytest.mark.parametrize(
    ("webhook", "times", "signed"),
    [
        (True, 1, True),
        (False, 0, True),
        ("twice", 2, True),
        ("forged", 1, False),
        ({"times": 20}, 20, True),
        ({"times": 2, "forged": True}, 2, False),
    ],
)
def test_webhooks_are_sent_as_told_and_with_the_same_bytes(
    paystack: Paystack, webhook: Any, times: int, signed: bool
) -> None:
    reference = f"told-{times}-{signed}-{type(webhook).__name__}"
    paystack.open(reference)
    assert paystack.post(f"pay/{reference}", {"webhook": webhook})["webhooks"] == [200] * times
    assert len({request.body for request in paystack.site.heard}) == min(times, 1)
    heard = paystack.heard()
    assert len(heard) == times
    assert all(valid is signed for _, valid in heard)


def test_a_late_webhook_comes_after_the_answer(paystack: Paystack) -> None:
    paystack.open("late-1")
    assert paystack.post("pay/late-1", {"webhook": {"delay_seconds": 0.01}})["webhooks"] == []
    eventually(lambda: paystack.site.heard)
    assert paystack.heard()[0][1]


def test_a_site_that_is_down_is_told_of(paystack: Paystack) -> None:
    paystack.open("down-1")
    paystack.site.says = Answer(503, {})
    assert paystack.post("pay/down-1")["webhooks"] == [503]
    assert paystack.get("transactions")["webhooks"][-1]["status"] == 503


def test_paid_again_it_stays_one_transaction_and_is_told_again(paystack: Paystack) -> None:
    paystack.open("again-1")
    first, second = paystack.post("pay/again-1"), paystack.post("pay/again-1")
    assert first == second
    assert len({request.body for request in paystack.site.heard}) == 1
    paystack.post("pay/again-1", {"amount": 5}, status=409)


def test_a_payer_may_pay_another_amount_or_what_nobody_opened(paystack: Paystack) -> None:
    paystack.open("other-1")
    paystack.post("pay/other-1", {"amount": 100, "currency": "GHS"})
    ((event, _),) = paystack.heard()
    assert (str(event.amount), event.currency) == ("1.00", "GHS")
    paystack.post("pay/nobody-1", {"amount": 700})
    assert paystack.get("transaction/verify/nobody-1")["data"]["amount"] == 700
    paystack.post("pay/nobody-2", status=400)


def test_a_webhook_may_say_success_before_verify_does(paystack: Paystack) -> None:
    paystack.open("early-1")
    paystack.post("pay/early-1", {"status": "pending", "webhook": True})
    ((event, signed),) = paystack.heard()
    assert (event.name, signed) == ("charge.success", True)
    assert paystack.get("transaction/verify/early-1")["data"]["status"] == "pending"
    paystack.post("pay/early-1", {"webhook": False})
    assert paystack.get("transaction/verify/early-1")["data"]["status"] == "success"
    assert paystack.heard() == []


def test_a_refused_card_sends_no_webhook(paystack: Paystack) -> None:
    paystack.open("refused-1")
    assert paystack.post("pay/refused-1", {"status": "failed"})["webhooks"] == []


def test_a_refund_ends_with_a_webhook_about_its_payment(paystack: Paystack) -> None:
    paystack.open("refund-1")
    number = paystack.post("pay/refund-1", {"webhook": False})["transactionId"]
    made = paystack.post("refund", {"transaction": number, "amount": 10000})["data"]
    paystack.post(f"refunds/{made['id']}", {"status": "failed"})
    ((event, signed),) = paystack.heard()
    assert signed
    assert event == Event("refund.failed", "refund-1", "", event.amount, "NGN")
    assert str(event.amount) == "100.00"


def test_anything_can_be_sent_signed(paystack: Paystack) -> None:
    paystack.post("webhooks", {"body": "not json"})
    paystack.post("webhooks", {"event": "charge.dispute.create", "data": {}})
    assert paystack.heard() == [("not_json", True), ("reference_invalid", True)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("pay/x", {"unknown": 1}, 422),
        ("pay/x", {"status": "paid"}, 422),
        ("pay/x", {"amount": 5, "webhook": "often"}, 422),
        ("pay/x", {"amount": 5, "webhook": {"times": 101}}, 422),
        ("pay/x", {"amount": 5, "webhook": {"times": "many"}}, 422),
        ("pay/x", {"amount": 5, "webhook": None}, 422),
        ("pay/x", {"amount": 1.5}, 400),
        ("pay/x", {"amount": 5, "currency": 5}, 400),
        ("refunds/5", {"status": "failed"}, 404),
        ("refunds/x", {"status": "failed"}, 404),
        ("webhooks", {}, 422),
        ("checkout/x", {}, 404),
        ("behaviour", {"unknown": 1}, 422),
        ("nowhere", {}, 404),
    ],
)
def test_nonsense_is_refused_and_pays_nothing(
    paystack: Paystack, path: str, body: Any, status: int
) -> None:
    paystack.post(path, body, status=status)
    assert "x" not in paystack.get("transactions")["transactions"]
    assert paystack.heard() == []


def test_the_interface_wants_the_key(paystack: Paystack) -> None:
    for headers in ({}, {"Authorization": "Bearer sk_test_other"}):
        url = f"{paystack.url}/transaction/verify/x"
        answer = httpx2.get(url, headers=headers, verify=PLAIN)
        assert (answer.status_code, answer.json()["status"]) == (401, False)


def test_a_person_pays_on_the_page(paystack: Paystack) -> None:
    address = paystack.open("page-1", 150010)["authorization_url"]
    page = httpx2.get(address, verify=PLAIN)
    assert "NGN 1,500.10 to pay" in page.text
    assert "allow-forms" in page.headers["content-security-policy"]
    refused = httpx2.post(address, data={"status": "failed"}, verify=PLAIN)
    assert "The card was refused." in refused.text
    for _ in range(2):
        assert "Paid." in httpx2.post(address, data={"status": "success"}, verify=PLAIN).text
    assert [event.reference for event, _ in paystack.heard()] == ["page-1"]


def test_in_a_file_it_survives_a_kill(paystack: Paystack, tmp_path: Path) -> None:
    file = tmp_path / "paystack.jsonl"
    sink = PaystackSink(secret="sk_test_demo", webhook_url=paystack.sink.webhook_url, file=file)
    with running({"paystack": sink.answer}) as url:
        before = Paystack(f"{url}/paystack", sink, paystack.site)
        before.open("kept-1")
        number = before.post("pay/kept-1")["transactionId"]
        made = before.post("refund", {"transaction": number, "merchant_note": "k"})["data"]
    with file.open("a") as lines:
        lines.write('{"reference": "kept-2", "em')
    sink = PaystackSink(secret="sk_test_demo", webhook_url="", file=file)
    with running({"paystack": sink.answer}) as url:
        after = Paystack(f"{url}/paystack", sink, paystack.site)
        assert after.get("transaction/verify/kept-1")["data"]["status"] == "success"
        assert after.get("refund", transaction=number)["data"] == [made]
        body = {"reference": "kept-1", "email": "r@example.org", "amount": 5}
        after.post("transaction/initialize", body, status=400)
