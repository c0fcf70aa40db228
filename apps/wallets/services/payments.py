"""Money that Paystack has verified: credited to whom it was paid for, or kept in suspense.

Every path comes through `payment_take_in`: whichever is first takes the payment in, the others find
it. Lock order: the top-up, then the wallet, then the counter of invoices.
"""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext

from apps.common.errors import DomainError
from apps.common.money import exact, shown
from apps.wallets.contracts import (
    REVIEW,
    TOPUP,
    AccountKind,
    EventOutcome,
    JournalKind,
    MoneyStatus,
    ReferenceStatus,
    ReviewCode,
    Step,
    TopUpStatus,
)
from apps.wallets.models import PaystackReference, ProviderTransaction, TopUp, WebhookEvent
from apps.wallets.models.payments import PAYSTACK
from apps.wallets.paystack import Verified
from apps.wallets.services.accounts import system_account, wallet_account
from apps.wallets.services.invoices import invoice_issue
from apps.wallets.services.ledger import post
from apps.wallets.services.reviews import review_open
from apps.wallets.services.topup_rows import StepStatus, record, step_save


def payment_known(reference: str) -> ProviderTransaction | None:
    """Return the payment of the reference, if it was taken in."""
    return ProviderTransaction.objects.filter(provider=PAYSTACK, reference=reference).first()


def payment_take_in(
    reference: str, verified: Verified, top_up: TopUp | None, *, as_of: datetime
) -> ProviderTransaction | None:
    """Take in a payment that Paystack has just verified as a success; return it. Again returns the
    same one; None for a payment of nothing.

    What is exactly what the top-up waits for is credited to its wallet, with an invoice. Anything
    else goes into suspense, and a person is asked. Joins the transaction that holds the lock of the
    top-up; None: the reference is not ours.
    """
    known = ProviderTransaction.objects.filter(provider=PAYSTACK).filter(
        Q(provider_id=verified.transaction_id) | Q(reference=reference)
    )
    if payment := known.first():
        return payment
    if not verified.amount:
        return None
    if top_up is not None:
        PaystackReference.objects.filter(reference=reference).update(status=ReferenceStatus.PAID)
    code = _difference(top_up, verified)
    if code is None and top_up is not None:
        try:
            with transaction.atomic():
                return _credited(reference, verified, top_up, as_of=as_of)
        except DomainError as no:
            code = _FULL.get(no.code)
            if code is None:
                raise
    return _suspended(reference, verified, top_up, code or ReviewCode.LATE, as_of=as_of)


#: Refusals of the ledger after which the money stays in suspense.
_FULL = {
    "wallet_full": ReviewCode.WALLET_FULL,
    "currency_differs": ReviewCode.CURRENCY_DIFFERS,
}


def _difference(top_up: TopUp | None, verified: Verified) -> ReviewCode | None:
    """Return why the payment is not what the top-up waits for."""
    if top_up is None:
        return ReviewCode.REFERENCE_UNKNOWN
    if verified.currency != top_up.currency:
        return ReviewCode.CURRENCY_DIFFERS
    if verified.amount != top_up.amount:
        return ReviewCode.AMOUNT_DIFFERS
    if TopUpStatus(top_up.status).paid:
        return ReviewCode.PAID_TWICE
    return ReviewCode.LATE if top_up.has_ended else None


def _credited(
    reference: str, verified: Verified, top_up: TopUp, *, as_of: datetime
) -> ProviderTransaction:
    payment = _row(reference, verified, top_up, MoneyStatus.CREDITED, as_of=as_of)
    top_up.status, top_up.credited_at = TopUpStatus.CREDITED, as_of
    step_save(
        top_up,
        Step.CREDIT_WALLET,
        StepStatus.DONE,
        payment.provider_id,
        fields=("status", "credited_at"),
    )
    record(
        top_up,
        f"{TOPUP}.credited",
        user_id=top_up.user_id,
        amount=exact(payment.amount, payment.currency),
        currency=payment.currency,
        transaction=payment.provider_id,
        reference=reference,
    )
    WebhookEvent.objects.filter(reference=reference, event="charge.success", outcome="").update(
        outcome=EventOutcome.CREDITED
    )
    currency = payment.currency
    post(
        key=f"{TOPUP}:{top_up.pk}:credit",
        kind=JournalKind.TOP_UP,
        currency=currency,
        lines={
            system_account(AccountKind.PAYSTACK, currency): payment.amount,
            wallet_account(top_up.user_id): -payment.amount,
        },
        subject_type=TOPUP,
        subject_id=top_up.pk,
        as_of=as_of,
    )
    invoice_issue(payment, top_up.wallet, as_of=as_of)
    return payment


def _suspended(
    reference: str,
    verified: Verified,
    top_up: TopUp | None,
    code: ReviewCode,
    *,
    as_of: datetime,
) -> ProviderTransaction:
    payment = _row(reference, verified, top_up, MoneyStatus.SUSPENSE, as_of=as_of)
    paid = shown(verified.amount, verified.currency)
    if top_up is None:
        found = gettext("{paid} was paid. No top-up here asked for it.").format(paid=paid)
    else:
        asked = shown(top_up.amount, top_up.currency)
        said = gettext("{paid} was paid, {asked} was asked for.")
        found = said.format(paid=paid, asked=asked)
    review = review_open(
        code,
        payment=payment,
        reference=reference,
        detail=found,
        as_of=as_of,
    )
    currency = payment.currency
    post(
        key=f"payment:{payment.provider_id}:suspense",
        kind=JournalKind.SUSPENSE,
        currency=currency,
        lines={
            system_account(AccountKind.PAYSTACK, currency): payment.amount,
            system_account(AccountKind.SUSPENSE, currency): -payment.amount,
        },
        subject_type=REVIEW,
        subject_id=review.pk,
        as_of=as_of,
    )
    return payment


def _row(
    reference: str,
    verified: Verified,
    top_up: TopUp | None,
    status: MoneyStatus,
    *,
    as_of: datetime,
) -> ProviderTransaction:
    return ProviderTransaction.objects.create(
        provider_id=verified.transaction_id,
        reference=reference,
        top_up=top_up,
        amount=verified.amount or Decimal(0),
        currency=verified.currency,
        paid_at=verified.paid_at,
        status=status,
        created_at=as_of,
    )
