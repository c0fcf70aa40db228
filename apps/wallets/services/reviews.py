"""Reviews of payments: a person credits money that nobody expected, or sends it back.

Approve credits the wallet for which it was paid; reject sends it back. Where there is no money to
move, both only note that somebody has looked.
"""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.common import correlation
from apps.common.errors import Conflict, Unavailable
from apps.common.language import for_record
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.engine import process
from apps.engine.process import SubjectRow
from apps.outbound.calls import Refused
from apps.wallets import paystack
from apps.wallets.contracts import (
    REVIEW,
    REVIEW_KIND,
    AccountKind,
    JournalKind,
    MoneyStatus,
    ReviewCode,
    ReviewStatus,
)
from apps.wallets.models import PaymentReview, ProviderTransaction, WebhookEvent
from apps.wallets.models.payments import WHY
from apps.wallets.paystack import RefundStatus
from apps.wallets.services.accounts import system_account, wallet_account
from apps.wallets.services.invoices import invoice_issue
from apps.wallets.services.ledger import post

logger = correlation.get_logger(__name__)

#: Payments that one turn of the leader sends back.
BATCH = 10
_FAILED = (RefundStatus.FAILED, RefundStatus.ATTENTION)

ROW = SubjectRow(
    subject=REVIEW,
    title=_("Review of a payment"),
    noun="payment_review",
    missing=_("There is no such review."),
    opens=_("Open the review"),
    model=PaymentReview,
    url_name="payment_review",
)
record = partial(process.record, ROW)


def review_open(
    code: ReviewCode,
    *,
    detail: str,
    payment: ProviderTransaction | None = None,
    event: WebhookEvent | None = None,
    reference: str = "",
    as_of: datetime,
) -> PaymentReview:
    """Ask a person about a payment or a webhook. Joins the caller's transaction."""
    review = PaymentReview.objects.create(
        code=code,
        detail=detail[:400],
        payment=payment,
        event=event,
        reference=reference[:200],
        amount=payment.amount if payment else None,
        currency=payment.currency if payment else "",
        request_digest="",
        created_at=as_of,
    )
    _ask(review, as_of=as_of)
    return review


# --- the decision ---------------------------------------------------------------------------------
def _approved(review: PaymentReview, decided: Decided) -> None:
    payment = _payment_locked(review)
    if payment is None:
        _end(review, ReviewStatus.NOTED, decided)
        return
    if payment.top_up is None:
        raise Conflict(
            _("Nobody knows whose wallet this was paid for. Reject it: then it is sent back."),
            code="wallet_unknown",
        )
    wallet, currency = payment.top_up.wallet, payment.currency
    payment.status = MoneyStatus.CREDITED
    payment.save(update_fields=["status"])
    _end(review, ReviewStatus.CREDITED, decided)
    post(
        key=f"payment:{payment.provider_id}:credit",
        kind=JournalKind.TOP_UP,
        currency=currency,
        lines={
            system_account(AccountKind.SUSPENSE, currency): payment.amount,
            wallet_account(wallet.user_id): -payment.amount,
        },
        subject_type=REVIEW,
        subject_id=review.pk,
        as_of=decided.as_of,
    )
    invoice_issue(payment, wallet, as_of=decided.as_of)


def _rejected(review: PaymentReview, decided: Decided) -> None:
    payment = _payment_locked(review)
    if payment is None:
        _end(review, ReviewStatus.NOTED, decided)
        return
    payment.status = MoneyStatus.SENDING_BACK
    payment.save(update_fields=["status"])
    review.status = ReviewStatus.SENDING_BACK
    process.save(ROW, review, "status")


def _payment_locked(review: PaymentReview) -> ProviderTransaction | None:
    """Lock and return the money of the review, if it is still in suspense."""
    if review.payment_id is None:
        return None
    rows = ProviderTransaction.objects.select_related("top_up__wallet__rider")
    payment = rows.select_for_update(of=("self",)).get(pk=review.payment_id)
    return payment if payment.status == MoneyStatus.SUSPENSE else None


def _end(review: PaymentReview, status: ReviewStatus, decided: Decided | None = None) -> None:
    as_of = decided.as_of if decided else timezone.now()
    process.save(ROW, review, *process.ended(review, status, as_of=as_of))
    record(review, f"{REVIEW}.{status}", reference=review.reference, **_money(review))


def _money(review: PaymentReview) -> dict[str, Any]:
    if review.amount is None:
        return {}
    return {"amount": exact(review.amount, review.currency), "currency": review.currency}


def _says(review: PaymentReview, money: str, nothing: str) -> str:
    return nothing if review.payment_id is None else money


ATTENTION = Attention(
    row=ROW,
    kind=REVIEW_KIND,
    approve_row=lambda review: _says(
        review,
        gettext("Credit the rider's wallet with what was paid, and send an invoice.")
        if review.payment and review.payment.top_up_id
        else gettext("Not possible: nobody knows whose wallet it was paid for. Reject it instead."),
        gettext("Note that somebody has looked. No money is moved."),
    ),
    reject=lambda review: _says(
        review,
        gettext("Send the money back to who paid it."),
        gettext("Note that somebody has looked. No money is moved."),
    ),
    about=lambda review: {
        "why": for_record(WHY[ReviewCode(review.code)]),
        "reference": review.reference,
    },
    on_carry_on=_approved,
    on_give_up=_rejected,
)


def _ask(review: PaymentReview, *, as_of: datetime) -> None:
    ATTENTION.ask(review, code=review.code, detail=review.detail, as_of=as_of)


# --- money that goes back -------------------------------------------------------------------------
def payments_return(*, limit: int = BATCH) -> int:
    """Send back the payments that a person has rejected; return how many. A task of the relay's
    leader: whatever has no answer is tried again, under the same key."""
    rows = ProviderTransaction.objects.filter(status=MoneyStatus.SENDING_BACK)
    returned = 0
    for payment in rows.order_by("pk")[:limit]:
        try:
            returned += _return(payment)
        except Unavailable as away:
            logger.warning("payment.not_returned", payment=payment.pk, error=away.detail)
    return returned


def _return(payment: ProviderTransaction) -> bool:
    try:
        refund = _refund(payment, payment.returns + 1)
    except Refused as no:
        _stays(payment.pk, str(no))
        return False
    if refund.status in _FAILED:
        _stays(payment.pk, refund.status)
        return False
    with transaction.atomic(durable=True):
        review = _review_locked(payment.pk)
        locked = ProviderTransaction.objects.select_for_update().get(pk=payment.pk)
        if locked.status != MoneyStatus.SENDING_BACK:
            return False
        locked.status, locked.refund_id = MoneyStatus.SENT_BACK, refund.refund_id
        locked.returns += 1
        locked.save(update_fields=["status", "refund_id", "returns"])
        _moved(locked, back=True)
        if review is not None:
            _end(review, ReviewStatus.SENT_BACK)
    return True


def _stays(payment_id: int, why: str) -> None:
    """Ask again about money that Paystack does not send back."""
    with transaction.atomic(durable=True):
        review = _review_locked(payment_id)
        locked = ProviderTransaction.objects.select_for_update().get(pk=payment_id)
        if locked.status != MoneyStatus.SENDING_BACK:
            return
        locked.status, locked.returns = MoneyStatus.SUSPENSE, locked.returns + 1
        locked.save(update_fields=["status", "returns"])
        if review is not None:
            review.status, review.code = ReviewStatus.AWAITING_DECISION, ReviewCode.REFUND_FAILED
            review.detail = why[:400]
            process.save(ROW, review, "status", "code", "detail")
            _ask(review, as_of=timezone.now())


def refund_failed(payment: ProviderTransaction, event: WebhookEvent, *, as_of: datetime) -> bool:
    """Take back into suspense what was sent back and did not arrive; return whether that is so, as
    Paystack says when it is asked. Outermost verb. Raises Unavailable, Refused."""
    refund = _refund(payment, payment.returns)
    if refund.status not in _FAILED:
        return False
    with transaction.atomic(durable=True):
        locked = ProviderTransaction.objects.select_for_update().get(pk=payment.pk)
        if locked.status != MoneyStatus.SENT_BACK or locked.returns != payment.returns:
            return True
        locked.status = MoneyStatus.SUSPENSE
        locked.save(update_fields=["status"])
        _moved(locked, back=False)
        review_open(
            ReviewCode.REFUND_FAILED,
            payment=locked,
            event=event,
            reference=locked.reference,
            detail=refund.status,
            as_of=as_of,
        )
    return True


def _refund(payment: ProviderTransaction, number: int) -> paystack.Refund:
    key = f"payment-{payment.provider_id}-return-{number}"
    return paystack.refund(payment.provider_id, None, currency=payment.currency, key=key)


def _moved(payment: ProviderTransaction, *, back: bool) -> None:
    currency, way = payment.currency, "returned" if back else "kept"
    amount = payment.amount if back else -payment.amount
    post(
        key=f"payment:{payment.provider_id}:{way}:{payment.returns}",
        kind=JournalKind.SUSPENSE,
        currency=currency,
        lines={
            system_account(AccountKind.SUSPENSE, currency): amount,
            system_account(AccountKind.PAYSTACK, currency): -amount,
        },
        subject_type="provider_payment",
        subject_id=payment.provider_id,
        as_of=timezone.now(),
    )


def _review_locked(payment_id: int) -> PaymentReview | None:
    rows = PaymentReview.objects.select_for_update(no_key=True)
    return rows.filter(payment_id=payment_id, status=ReviewStatus.SENDING_BACK).first()
