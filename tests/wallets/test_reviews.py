"""Money that nobody expected: in suspense until a person credits it, or sends it back."""

from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.utils import timezone

from apps.common.errors import Conflict
from apps.notifications.models import Mail
from apps.simulators.signed import event_bytes
from apps.wallets.models import (
    Invoice,
    JournalLine,
    PaymentReview,
    ProviderTransaction,
    TopUp,
    WebhookEvent,
)
from apps.wallets.services import invoices, reviews, topup_paying
from apps.wallets.services.verify import ledger_verify
from tests.wallets.conftest import World
from tests.wallets.topup_stage import Payers, send
from tests.wallets.topups import decide, look, opened

pytestmark = pytest.mark.django_db


def suspense() -> Decimal:
    lines = JournalLine.objects.filter(account__code="suspense:NGN")
    return -(lines.aggregate(total=Sum("amount"))["total"] or Decimal(0))


@pytest.fixture
def late(world: World, payers: Payers) -> TopUp:
    """A top-up that was given up and then paid: its money is in suspense."""
    world.rider()
    top_up, reference = opened(world)
    topup_paying.payment_cancel(
        top_up_id=top_up.pk, code="payment_timeout", detail="", as_of=timezone.now()
    )
    assert send(payers.pay(reference)) == 200
    look()
    assert (suspense(), world.balance()) == (Decimal("1500.10"), 0)
    return top_up


@pytest.mark.django_db(transaction=True)
def test_approved_it_is_credited_once_with_an_invoice_and_a_receipt(
    world: World, late: TopUp
) -> None:
    review = PaymentReview.objects.get()
    assert (review.code, review.status) == ("late", "awaiting_decision")
    decide(world.people["reviewer"], review, "approve")
    assert (suspense(), world.balance()) == (0, Decimal("1500.10"))
    assert (invoices.receipts_queue(), invoices.receipts_queue()) == (1, 0)
    mail = Mail.objects.get(address="ada@example.com")
    assert mail.attachments.get().name == f"{Invoice.objects.get().number}.pdf"
    review.refresh_from_db()
    assert (review.status, TopUp.objects.get().status) == ("credited", "failed")
    # The old webhook again, in other bytes: nothing moves.
    event = WebhookEvent.objects.get()
    assert send(bytes(event.body) + b" ") == 200
    look()
    assert (world.balance(), PaymentReview.objects.count()) == (Decimal("1500.10"), 1)
    assert ledger_verify().problems == []


@pytest.mark.django_db(transaction=True)
def test_rejected_it_goes_back_once_and_comes_into_suspense_again_if_it_does_not_arrive(
    world: World, late: TopUp, payers: Payers
) -> None:
    review = PaymentReview.objects.get()
    decide(world.people["reviewer"], review, "reject")
    assert suspense() == Decimal("1500.10")
    assert (reviews.payments_return(), reviews.payments_return()) == (1, 0)
    review.refresh_from_db()
    assert (review.status, suspense(), world.balance()) == ("sent_back", 0, 0)
    (refund,) = payers.refunds()
    data = {
        "transaction_reference": ProviderTransaction.objects.get().reference,
        "amount": "150010",
        "currency": "NGN",
    }
    # Paystack has to confirm that it failed.
    assert send(event_bytes("refund.failed", {**data, "first": True})) == 200
    look()
    assert suspense() == 0
    payers.tell(f"refunds/{refund['id']}", status="failed", webhook=False)
    assert send(event_bytes("refund.failed", data)) == 200
    look()
    assert suspense() == Decimal("1500.10")
    second = PaymentReview.objects.get(code="refund_failed")
    decide(world.people["reviewer"], second, "reject")
    assert reviews.payments_return() == 1
    assert (suspense(), len(payers.refunds())) == (0, 2)
    assert ledger_verify().problems == []


def test_what_paystack_does_not_send_back_is_asked_about_again(
    world: World, late: TopUp, payers: Payers
) -> None:
    review = PaymentReview.objects.get()
    decide(world.people["reviewer"], review, "reject")
    payers.tell("behaviour", down=True)
    assert reviews.payments_return() == 0
    payers.tell("behaviour", refuse_refunds=True)
    assert reviews.payments_return() == 0
    review.refresh_from_db()
    assert (review.status, review.code) == ("awaiting_decision", "refund_failed")
    decide(world.people["reviewer"], review, "approve")
    assert (suspense(), world.balance()) == (0, Decimal("1500.10"))


def test_nobody_can_credit_what_was_paid_for_nobody(world: World, payers: Payers) -> None:
    body = payers.pay("theirs-1", amount=5000, currency="NGN")
    assert send(body) == 200
    look()
    review = PaymentReview.objects.get()
    assert (review.code, suspense()) == ("reference_unknown", Decimal("50.00"))
    with pytest.raises(Conflict) as refused:
        decide(world.people["reviewer"], review, "approve")
    assert refused.value.code == "wallet_unknown"
    decide(world.people["reviewer"], review, "reject")
    assert reviews.payments_return() == 1
    assert suspense() == 0


def test_what_has_no_money_is_only_noted(world: World) -> None:
    assert send(b"not json") == 200
    review = PaymentReview.objects.get()
    decide(world.people["reviewer"], review, "approve")
    review.refresh_from_db()
    assert review.status == "noted"


def test_the_pages_of_top_ups_and_reviews(world: World, late: TopUp, client: Any) -> None:
    review = PaymentReview.objects.get()
    client.force_login(world.people["reviewer"])
    for path, said in (
        ("/top-ups/", "Top-ups"),
        (f"/top-ups/{late.pk}/", "nobody paid in time"),
        (f"/payment-reviews/{review.pk}/", "paid when nobody waited"),
        (f"/search/?q={late.pk}", "Ada"),
        (f"/search/?q={review.pk}", "1,500.10"),
    ):
        page = client.get(path)
        assert page.status_code == 200, path
        assert said.lower() in page.content.decode().lower(), path
    client.force_login(world.people["requester"])
    assert client.get("/top-ups/new/?wallet=ada").status_code == 200
    sent = {"user_id": "ada", "amount": "20.00", "idempotency_key": "one"}
    assert client.post("/top-ups/new/", sent).status_code == 302
    assert client.post("/top-ups/new/", sent).status_code == 302
    made = TopUp.objects.get(amount=Decimal("20.00"))
    assert client.get(f"/top-ups/{made.pk}/").status_code == 200
