"""Every way in which a payment is, or is not, told and confirmed: what is credited, what is kept in
suspense, and what a person is asked.

`pytest tests/wallets/test_topup_table.py -s` prints the table. All cases run side by side on one
worker, each with a rider of its own.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.common.errors import Unavailable
from apps.notifications.models import Mail
from apps.wallets import paystack
from apps.wallets.contracts import REVIEW_KIND
from apps.wallets.models import (
    Invoice,
    PaymentReview,
    PaystackReference,
    ProviderTransaction,
    TopUp,
    Wallet,
    WebhookEvent,
)
from apps.wallets.services import webhooks
from apps.wallets.services.verify import ledger_verify
from tests.stage import orm
from tests.support import eventually_async
from tests.wallets.topup_stage import Payers, Stage, send

AMOUNT = Decimal("1500.10")
LONG, SHORT, SELDOM, OFTEN = 300.0, 1.0, 300.0, 0.3


@dataclass(frozen=True)
class Case:
    """A payment. `code`: how the top-up ends, empty: it is credited; `review`: why a person is
    asked; `webhooks`: how often the same bytes come, below zero: after the wait."""

    name: str
    code: str = ""
    review: str = ""
    wait: float = LONG
    poll: float = SELDOM
    webhooks: int = 1
    pays: tuple[tuple[str, Any], ...] | None = ()
    references: int = 1

    @property
    def rider(self) -> str:
        return self.name.replace(" ", "-")


CASES = [
    Case("webhook before the wait"),
    Case("webhook in the wait"),
    Case("webhook twice", webhooks=2),
    Case("webhook after the wait", "payment_timeout", "late", SHORT, OFTEN, webhooks=-1),
    Case("no webhook", poll=OFTEN, webhooks=0),
    Case("nobody pays", "payment_timeout", "", SHORT, OFTEN, webhooks=0, pays=None),
    Case("other amount", "amount_differs", "amount_differs", pays=(("amount", 90000),)),
    Case("other currency", "currency_differs", "currency_differs", pays=(("currency", "GHS"),)),
    Case("forged", "payment_timeout", "", SHORT, OFTEN, pays=(("status", "abandoned"),)),
    Case("verify says no", "payment_timeout", "", SHORT, OFTEN, pays=(("status", "failed"),)),
    Case("verify pending first", poll=OFTEN, pays=(("status", "pending"),)),
    Case("verify down first", poll=OFTEN),
    Case("verify down", "payment_timeout", "late", SHORT, OFTEN),
    Case("initialize refused", "payment_refused", webhooks=0, pays=None),
    Case("initialize lost", references=2),
]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, payers: Payers) -> Counter[str]:
    """Paystack's client fails for the riders of the cases as they say."""
    calls: Counter[str] = Counter()
    real_initialize, real_verify = paystack.initialize, paystack.verify

    def rider_of(reference: str) -> str:
        row = PaystackReference.objects.select_related("top_up__wallet__rider")
        return row.get(reference=reference).top_up.user_id

    def initialize(**about: Any) -> Any:
        rider = rider_of(about["reference"])
        calls[f"{rider}:initialize"] += 1
        made = real_initialize(**about)
        if rider == "webhook-before-the-wait":
            assert send(payers.pay(about["reference"])) == 200
        if rider == "initialize-lost" and calls[f"{rider}:initialize"] == 1:
            raise Unavailable("no answer", code="paystack_unavailable")
        return made

    def verify(reference: str) -> Any:
        rider = rider_of(reference)
        calls[f"{rider}:verify"] += 1
        down = rider == "verify-down" or (
            rider == "verify-down-first" and calls[f"{rider}:verify"] < 3
        )
        if down and not calls["up again"]:
            raise Unavailable("no answer", code="paystack_unavailable")
        return real_verify(reference)

    monkeypatch.setattr(paystack, "initialize", initialize)
    monkeypatch.setattr(paystack, "verify", verify)
    return calls


def reference_of(top_up: TopUp, *, number: int) -> str:
    """The reference that can be paid; empty while there is none."""
    row = PaystackReference.objects.filter(top_up=top_up, number=number, status="open").first()
    return row.reference if row else ""


def paid(stage: Stage, case: Case, reference: str) -> None:
    """The payer pays, and Paystack says so, as the case has it."""
    body = stage.payers.pay(reference, **dict(case.pays or ()))
    for _ in range(abs(case.webhooks)):
        status = send(body, "0" * 128 if case.name == "forged" else None)
        assert status == (401 if case.name == "forged" else 200)


def found(case: Case, top_up: TopUp) -> dict[str, Any]:
    row = TopUp.objects.get(pk=top_up.pk)
    payments = ProviderTransaction.objects.filter(top_up=row)
    events = WebhookEvent.objects.filter(reference__in=row.references.values("reference"))
    return {
        "code": row.error_code,
        "wallet": Wallet.objects.get(rider__user_id=case.rider).balance,
        "credited": payments.filter(status="credited").count(),
        "suspense": payments.filter(status="suspense").count(),
        "reviews": list(
            PaymentReview.objects.filter(payment__in=payments).values_list("code", flat=True)
        ),
        "invoices": Invoice.objects.filter(payment__in=payments).count(),
        "receipts": Mail.objects.filter(address=f"{case.rider}@example.com").count(),
        "deliveries": sum(events.values_list("deliveries", flat=True)),
        "open": events.filter(outcome="").count(),
        "references": row.references.count(),
    }


def expected(case: Case) -> dict[str, Any]:
    stands = not case.code
    forged = case.name == "forged"
    return {
        "code": case.code,
        "wallet": AMOUNT if stands else Decimal(0),
        "credited": int(stands),
        "suspense": int(bool(case.review)),
        "reviews": [case.review] if case.review else [],
        "invoices": int(stands),
        "receipts": int(stands),
        "deliveries": 0 if forged else abs(case.webhooks),
        # It is looked at again: what Paystack does not confirm today it may confirm tomorrow.
        "open": int(case.name == "verify says no"),
        "references": case.references,
    }


async def test_only_what_paystack_confirms_is_credited_and_nothing_is_lost(
    stage: Stage, told: Counter[str]
) -> None:
    for case in CASES:
        await orm(stage.world.rider, case.rider)
    await orm(stage.payers.tell, "behaviour", refuse_emails=["initialize-refused@example.com"])
    asked = {case: await stage.ask(case.rider, wait=case.wait, poll=case.poll) for case in CASES}
    await stage.deliver()

    async def pays(case: Case) -> None:
        await eventually_async(lambda: orm(reference_of, asked[case], number=case.references))
        reference = await orm(reference_of, asked[case], number=case.references)
        await orm(paid, stage, case, reference)

    early = [case for case in CASES if case.pays is not None and case.webhooks >= 0]
    early = [case for case in early if case.name != "webhook before the wait"]
    await asyncio.gather(*(pays(case) for case in early))
    pending = next(case for case in CASES if case.name == "verify pending first")
    await eventually_async(lambda: told[f"{pending.rider}:verify"] >= 2)
    await orm(stage.payers.pay, f"topup-{asked[pending].pk}-1")
    await eventually_async(
        lambda: orm(WebhookEvent.objects.filter(reference=f"topup-{asked[CASES[0]].pk}-1").exists)
    )
    await stage.deliver()
    results = dict(
        zip(asked, await asyncio.gather(*map(stage.result, asked.values())), strict=True)
    )
    for case in CASES:
        if case.webhooks < 0:
            await orm(paid, stage, case, f"topup-{asked[case].pk}-1")
    told["up again"] = 1
    await orm(_look)

    wrong = {}
    for case, top_up in asked.items():
        is_found, result = await orm(found, case, top_up), results[case]
        print(
            f"{case.name:26} {result['success']!s:6} {result['code']:18} "
            f"wallet {is_found['wallet']:>10} suspense {is_found['suspense']} "
            f"invoices {is_found['invoices']} deliveries {is_found['deliveries']} "
            f"reviews {', '.join(is_found['reviews']) or '-'}"
        )
        if is_found != expected(case) or result["code"] != case.code:
            wrong[case.name] = (is_found, result)
        assert result["success"] == (not case.code)
        assert bool(result["transactionId"]) == (not case.code)
        words = "Payment confirmation timeout" if "timeout" in case.code else "Payment failed"
        assert result["error"] == (words if case.code else "")
    assert wrong == {}
    numbers = await orm(lambda: sorted(Invoice.objects.values_list("sequence", flat=True)))
    assert numbers == list(range(1, len(numbers) + 1))
    items = await orm(ApprovalRequest.objects.filter(kind=REVIEW_KIND).count)
    assert items == sum(bool(case.review) for case in CASES)
    report = await orm(ledger_verify)
    assert report.problems == []


def _look() -> None:
    for event in WebhookEvent.objects.filter(outcome="").order_by("pk"):
        webhooks.event_look(event.pk, as_of=timezone.now(), ask=True)


async def test_started_by_hand_it_makes_its_row_and_any_signal_wakes_it(stage: Stage) -> None:
    await orm(stage.world.rider)
    handle = await stage.client.start_workflow(
        "walletTopUpWorkflow",
        {"userId": "ada", "amount": 250.5, "waits": {"payment": LONG, "poll": SELDOM}},
        id=f"by-hand-{stage.queue}",
        task_queue=stage.queue,
    )

    def ready() -> str:
        row = TopUp.objects.filter(workflow_id=handle.id).first()
        return reference_of(row, number=1) if row else ""

    reference = await eventually_async(lambda: orm(ready))
    # Whatever is in a signal moves nothing: only Paystack is believed.
    await handle.signal("paystackWebhookReceived", {"success": True, "amount": 10**9})
    await handle.signal("paystackWebhookReceived")
    await handle.signal("paystackWebhookReceived", args=["a", 2])
    await orm(stage.payers.pay, reference)
    await handle.signal("paystackWebhookReceived", {"data": {"id": 2**64 - 1}})
    result = await handle.result()
    row = await orm(TopUp.objects.get, workflow_id=handle.id)
    assert (result["success"], row.amount, row.requested_by_id) == (True, Decimal("250.50"), None)
    assert await orm(stage.world.balance) == Decimal("250.50")
    for body, code in (
        ({"userId": "nobody", "amount": 5}, "wallet_not_found"),
        ({"userId": "a b", "amount": 5}, "user_id_invalid"),
        ({"userId": "ada", "amount": "0.001"}, "amount_invalid"),
        ({"userId": "ada", "amount": 2_000_000}, "top_up_above_limit"),
    ):
        result = await stage.client.execute_workflow(
            "WalletTopUpWorkflow", body, id=f"{code}-{stage.queue}", task_queue=stage.queue
        )
        assert (result["success"], result["code"]) == (False, code)
