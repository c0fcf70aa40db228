"""Top-ups: asked for once, credited once, numbered without a gap, receipted once."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pypdfium2
import pytest
from django.test import Client
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.common.errors import Conflict, DomainError, Unavailable
from apps.notifications.models import Mail
from apps.simulators.signed import event_bytes
from apps.wallets import paystack
from apps.wallets.contracts import ATTENTION_KIND, TopUpRequest
from apps.wallets.models import (
    Invoice,
    Journal,
    PaymentReview,
    ProviderTransaction,
    TopUp,
    WebhookEvent,
)
from apps.wallets.services import topup_attention, topup_ending, topup_paying, topup_requesting
from apps.wallets.services.verify import ledger_verify
from tests.wallets.conftest import World
from tests.wallets.topup_stage import send
from tests.wallets.topups import ask, initialized, look, opened, success

pytestmark = pytest.mark.django_db


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Paystack says of references; of others that nobody has paid."""
    said: dict[str, Any] = {}
    unpaid = paystack.Verified(paystack.PaymentStatus.ABANDONED)
    monkeypatch.setattr(paystack, "initialize", initialized)
    monkeypatch.setattr(paystack, "verify", lambda reference: said.get(reference, unpaid))
    return said


def credited(top_up: TopUp) -> Any:
    return topup_paying.payment_credit(top_up_id=top_up.pk, as_of=timezone.now())


def finished(top_up: TopUp) -> None:
    topup_ending.invoice_make(top_up_id=top_up.pk)
    topup_ending.receipt_send(top_up_id=top_up.pk, as_of=timezone.now())


def test_a_workflow_whose_id_no_row_can_keep_is_refused(world: World) -> None:
    world.rider()
    request, same = TopUpRequest(userId="ada", amount=5), "x" * 200
    about: dict[str, Any] = {"request": request, "as_of": timezone.now()}
    made = topup_requesting.top_up_open(workflow_id=same, **about)
    assert topup_requesting.top_up_open(workflow_id=same, **about) == made
    # It would be taken for the other one.
    with pytest.raises(DomainError) as refused:
        topup_requesting.top_up_open(workflow_id=same + "y", **about)
    assert refused.value.code == "workflow_id_invalid"
    assert TopUp.objects.count() == 1


def text_of(body: bytes) -> str:
    document = pypdfium2.PdfDocument(body)
    try:
        return " ".join(document[0].get_textpage().get_text_range().replace("\u200b", "").split())
    finally:
        document.close()


def test_from_the_request_to_the_receipt_each_step_again_changes_nothing(
    world: World, says: dict[str, Any], settings: Any
) -> None:
    settings.INVOICE_COMPANY_NAME = "Transportes São João"
    settings.INVOICE_COMPANY_ADDRESS = "12 Adeola Odeku Street | Lagos"
    world.rider()
    top_up, reference = opened(world)
    assert opened(world, idempotency_key="k")[0].pk == opened(world, idempotency_key="k")[0].pk
    again = topup_paying.payment_initiate(top_up_id=top_up.pk, seconds=1, as_of=timezone.now())
    assert (again.id, again.authorizationUrl) == (reference, f"https://pay.example/{reference}")
    assert credited(top_up).final is False
    says[reference] = success(2**64 - 1)
    first, second = credited(top_up), credited(top_up)
    assert first == second
    assert (first.success, first.transactionId) == (True, "18446744073709551615")
    finished(top_up)
    content = Invoice.objects.get().content
    finished(top_up)
    assert world.balance() == Decimal("1500.10")
    assert Journal.objects.filter(key=f"topup:{top_up.pk}:credit").count() == 1
    assert TopUp.objects.get(pk=top_up.pk).status == "done"
    mail = Mail.objects.get(address="ada@example.com")
    attached = mail.attachments.get()
    assert (attached.name, attached.content_id) == ("INV-2026-000001.pdf", content.sha256)
    text = text_of(bytes(content.body))
    for said in ("Transportes São João", "12 Adeola Odeku Street", "₦1,500.10", "Ada"):
        assert said in text
    # It is broken over two lines, at a hyphen.
    assert re.sub(r"\W", "", reference) in re.sub(r"\W", "", text)


def test_nothing_is_cancelled_once_it_is_credited_and_nothing_credited_once_it_is_cancelled(
    world: World, says: dict[str, Any]
) -> None:
    world.rider()
    top_up, reference = opened(world)
    other, late = opened(world)
    says[reference] = success(1)
    credited(top_up)
    stop = {"code": "payment_timeout", "detail": "late", "as_of": timezone.now()}
    assert topup_paying.payment_cancel(top_up_id=top_up.pk, **stop).paid
    assert topup_paying.payment_cancel(top_up_id=other.pk, **stop).code == "payment_timeout"
    says[late] = success(2)
    assert credited(other).success is False
    assert world.balance() == Decimal("1500.10")
    with pytest.raises(Conflict, match="already"):
        topup_paying.payment_initiate(top_up_id=other.pk, seconds=1, as_of=timezone.now())


def test_a_reference_whose_answer_was_lost_credits_and_a_second_payment_is_reviewed(
    world: World, says: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(**about: Any) -> Any:
        raise Unavailable("no answer", code="paystack_unavailable")

    world.rider()
    top_up = ask(world)
    with monkeypatch.context() as broken:
        broken.setattr(paystack, "initialize", lost)
        with pytest.raises(DomainError):
            topup_paying.payment_initiate(top_up_id=top_up.pk, seconds=9, as_of=timezone.now())
    second = topup_paying.payment_initiate(top_up_id=top_up.pk, seconds=9, as_of=timezone.now())
    assert second.id.endswith("-2")
    # The reference whose answer was lost counts as well.
    says[f"topup-{top_up.pk}-1"] = success(1)
    assert credited(top_up).transactionId == "1"
    says[second.id] = success(2)
    data = {"id": 2, "reference": second.id, "amount": 150010, "currency": "NGN"}
    assert send(event_bytes("charge.success", data)) == 200
    look()
    assert (PaymentReview.objects.get().code, world.balance()) == ("paid_twice", Decimal("1500.10"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"user_id": "nobody"}, "wallet_not_found"),
        ({"user_id": "../x"}, "user_id_invalid"),
        ({"amount": "1000000.01"}, "top_up_above_limit"),
        ({"amount": "0.001"}, "amount_invalid"),
        ({"amount": "-5"}, "amount_invalid"),
        ({"user_id": "eve"}, "rider_email_missing"),
        ({"user_id": "joao"}, "currency_unsupported"),
    ],
)
def test_what_is_refused_at_once(world: World, change: dict[str, str], code: str) -> None:
    world.rider()
    world.rider("joao", currency="BRL")
    world.rider("eve")
    world.mailless("eve")
    with pytest.raises(DomainError) as refused:
        ask(world, **change)
    assert refused.value.code == code
    assert TopUp.objects.count() == 0


def test_a_receipt_that_cannot_be_sent_is_asked_about_and_the_money_stays(
    world: World, says: dict[str, Any]
) -> None:
    world.rider()
    top_up, reference = opened(world)
    says[reference] = success(1)
    credited(top_up)
    world.mailless("ada")
    with pytest.raises(DomainError, match="e-mail"):
        finished(top_up)
    topup_attention.attention_open(str(top_up.pk), code="rider_email_missing", detail="No address")
    item = ApprovalRequest.objects.get(kind=ATTENTION_KIND)
    world.sign(item, "reject")
    row = TopUp.objects.get(pk=top_up.pk)
    assert (row.status, row.error_code, world.balance()) == ("done", "given_up", Decimal("1500.10"))


@pytest.mark.django_db(transaction=True)
def test_fifty_credits_at_once_have_fifty_numbers_without_a_gap(
    shared_world: World, says: dict[str, Any], side_by_side: Callable[..., list[Any]]
) -> None:
    for number in range(10):
        shared_world.rider(f"rider-{number}")
    top_ups = [opened(shared_world, f"rider-{number % 10}") for number in range(50)]
    says.update({reference: success(n) for n, (_, reference) in enumerate(top_ups, 1)})
    found = side_by_side(lambda n: credited(top_ups[n % 50][0]), 10)
    for start in range(10, 50, 10):
        found += side_by_side(lambda n, start=start: credited(top_ups[start + n][0]), 10)
    assert [one.success for one in found] == [True] * 50
    numbers = sorted(Invoice.objects.values_list("sequence", flat=True))
    assert numbers == list(range(1, 51))
    assert ledger_verify().problems == []


@pytest.mark.django_db(transaction=True)
def test_twenty_deliveries_and_twenty_credits_of_one_top_up_at_once_are_one(
    shared_world: World, says: dict[str, Any], side_by_side: Callable[..., list[Any]]
) -> None:
    shared_world.rider()
    top_up, reference = opened(shared_world)
    says[reference] = success(1)
    data = {"id": 1, "reference": reference, "amount": 150010, "currency": "NGN"}
    body = event_bytes("charge.success", data)
    assert side_by_side(lambda number: send(body), 20) == [200] * 20
    found = side_by_side(lambda number: credited(top_up), 20)
    event = WebhookEvent.objects.get()
    assert (event.deliveries, event.outcome) == (20, "credited")
    assert [one.success for one in found] == [True] * 20
    assert shared_world.balance() == Decimal("1500.10")
    counts = (ProviderTransaction.objects.count(), Invoice.objects.count())
    assert counts == (1, 1)
    receipts = side_by_side(lambda number: finished(top_up), 6)
    assert receipts == [None] * 6
    assert Mail.objects.filter(address="ada@example.com").count() == 1


# --- the API -------------------------------------------------------------------------------------
def test_the_api_of_top_ups_and_invoices(world: World, says: dict[str, Any]) -> None:
    world.rider()
    client = Client()
    client.force_login(world.people["requester"])
    place = "/api/v1/wallets/ada/top-ups"

    def post(amount: Any, key: str = "k") -> Any:
        return client.post(
            place,
            data=json.dumps({"amount": amount}),
            content_type="application/json",
            headers={"Idempotency-Key": key},
        )

    made, again = post("1500.10"), post("1500.10")
    assert (made.status_code, again.status_code, made.json()) == (201, 200, again.json())
    assert set(made.json()) == {"id", "workflowId", "status"}
    assert made.json()["workflowId"] == f"topup-{made.json()['id']}"
    assert post("7").json()["code"] == "idempotency_key_reused"
    for amount in ("NaN", "-1", True, None, "1e400", [], "0"):
        assert post(amount, "other").status_code == 422
    one = f"{place}/{made.json()['id']}"
    assert client.get(one).json()["authorizationUrl"] is None
    top_up = TopUp.objects.get()
    reference = topup_paying.payment_initiate(
        top_up_id=top_up.pk, seconds=600, as_of=timezone.now()
    ).id
    shown = client.get(one).json()
    assert (shown["reference"], shown["status"]) == (reference, "awaiting_payment")
    assert shown["authorizationUrl"] == f"https://pay.example/{reference}"
    says[reference] = success(5)
    credited(top_up)
    finished(top_up)
    listed = client.get(place).json()["items"]
    assert [(one["invoice"], one["transactionId"]) for one in listed] == [("INV-2026-000001", "5")]
    pdf = client.get("/api/v1/invoices/INV-2026-000001.pdf")
    assert (pdf.status_code, pdf["Content-Type"]) == (200, "application/pdf")
    assert pdf.content == client.get("/api/v1/invoices/INV-2026-000001.pdf").content
    assert "₦1,500.10" in text_of(pdf.content)
    assert client.get("/api/v1/invoices/INV-2026-000002.pdf").status_code == 404
    other = Client()
    other.force_login(world.people["agent"])
    assert other.get(one.replace("ada", "eve")).status_code == 404
    assert Client().get(one).status_code == 401
