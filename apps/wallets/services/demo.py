"""The demo's riders and what is in their wallets. Idempotent by ids and keys.

The data are a table, `apps/wallets/demo/riders.csv`. Outside checks rely on the balance that
`demo-rider` opens with.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.demo_users import SEEDER
from apps.accounts.models import User
from apps.common.identifiers import new_id
from apps.wallets.contracts import (
    TOPUP,
    AccountKind,
    JournalKind,
    ReferenceStatus,
    Step,
    TopUpStatus,
)
from apps.wallets.models import PaystackReference, TopUp, Wallet
from apps.wallets.paystack import PaymentStatus, Verified
from apps.wallets.services.accounts import system_account, wallet_account
from apps.wallets.services.ledger import post
from apps.wallets.services.payments import payment_take_in
from apps.wallets.services.riders import RIDER_SUBJECT, rider_put
from apps.wallets.services.topup_ending import invoice_make, receipt_send
from apps.wallets.services.topup_rows import StepStatus, step_put
from apps.web.demo import table

#: Whose wallet the demo's top-up is for. Not `demo-rider`: outside checks rely on that balance.
TOPPED_UP, TOPUP_KEY = "folake", "demo-top-up"


def wallets_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    riders: list[dict[str, Any]] = table("wallets", "riders", dict, opening=Decimal)
    for rider in riders:
        _rider(**rider)
    _top_up(people["requester"])
    yield f"{len(riders)} riders with their wallets, and a top-up"


def _top_up(by: User) -> None:
    """A top-up that was paid, as its steps would have left it: nobody asks Paystack for a demo."""
    if TopUp.objects.filter(requested_by=by, idempotency_key=TOPUP_KEY).exists():
        return
    now, pk = timezone.now(), new_id()
    wallet = Wallet.objects.select_related("rider").get(rider__user_id=TOPPED_UP)
    with transaction.atomic():
        top_up = TopUp.objects.create(
            id=pk,
            workflow_id=f"{TOPUP}-{pk}",
            wallet=wallet,
            amount=Decimal("2500.00"),
            currency=wallet.currency,
            status=TopUpStatus.AWAITING_PAYMENT,
            requested_by=by,
            idempotency_key=TOPUP_KEY,
            request_digest="",
            pay_until=now + timedelta(minutes=10),
            created_at=now,
        )
        reference = f"{TOPUP}-{pk}-1"
        PaystackReference.objects.create(
            reference=reference,
            top_up=top_up,
            number=1,
            status=ReferenceStatus.OPEN,
            created_at=now,
        )
        step_put(top_up, Step.INITIATE_PAYMENT, StepStatus.DONE, reference)
        identifier = str(pk.int % 10**12)
        paid = Verified(PaymentStatus.SUCCESS, top_up.amount, top_up.currency, identifier, now)
        payment_take_in(reference, paid, top_up, as_of=now)
    invoice_make(top_up_id=pk)
    receipt_send(top_up_id=pk, as_of=now)


def _rider(user_id: str, name: str, email: str, currency: str, opening: Decimal) -> None:
    now = timezone.now()
    rider_put(
        user_id=user_id,
        name=name,
        email=email,
        currency=currency,
        by=SEEDER,
        via="command",
        as_of=now,
    )
    if opening:
        post(
            key=f"demo:{user_id}:opening",
            kind=JournalKind.ADJUSTMENT,
            currency=currency,
            lines={
                system_account(AccountKind.ADJUSTMENT, currency): opening,
                wallet_account(user_id): -opening,
            },
            subject_type=RIDER_SUBJECT,
            subject_id=user_id,
            as_of=now,
            note="Opening balance of the demo.",
        )
