"""The payment of a top-up: opened at Paystack, asked about, credited or given up."""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.common.errors import Conflict, Unavailable
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process
from apps.outbound.calls import Refused
from apps.wallets import paystack
from apps.wallets.contracts import (
    TOPUP,
    CreditOutput,
    Initiated,
    MoneyStatus,
    ReferenceStatus,
    Step,
    TopUpFacts,
    TopUpStatus,
)
from apps.wallets.models import PaystackReference, TopUp
from apps.wallets.paystack import DUPLICATE_REFERENCE, PaymentStatus
from apps.wallets.services.payments import payment_take_in
from apps.wallets.services.topup_ending import end
from apps.wallets.services.topup_requesting import check_address
from apps.wallets.services.topup_rows import (
    PROCESS,
    RELATED,
    StepStatus,
    facts_of,
    record,
    refused,
    step_save,
    top_up_lock,
    transaction_of,
)

_ASKED = (ReferenceStatus.SENT, ReferenceStatus.OPEN, ReferenceStatus.CANCELLED)


def payment_initiate(*, top_up_id: UUID | str, seconds: float, as_of: datetime) -> Initiated:
    """Open the payment at Paystack, which is waited for so many seconds; return its reference and
    where it is paid. Again returns the same one.

    A reference is committed before the call, a new one for every attempt. Raises Conflict
    `payment_refused`, `already_settled`; Invalid `rider_email_missing`; Unavailable
    `paystack_unavailable`: the next attempt takes another reference.
    """
    audited = partial(refused, top_up_id, action=f"{TOPUP}.initiate_payment")
    with audited():
        known = _reference_commit(top_up_id, as_of)
    if known.status == ReferenceStatus.OPEN:
        return Initiated(known.reference, known.authorization_url)
    failpoint("initiate_payment.begun")
    try:
        made = paystack.initialize(
            reference=known.reference,
            email=known.top_up.wallet.rider.email,
            amount=known.top_up.amount,
            currency=known.top_up.currency,
        )
    except Refused as no:
        if no.code == DUPLICATE_REFERENCE:
            raise Unavailable(str(no), code="paystack_unavailable") from no
        with audited():
            _reference_refused(known, str(no))
            raise Conflict(str(no), code="payment_refused") from no
    failpoint("initiate_payment.answered")
    with audited():
        return _reference_opened(known, made, seconds=seconds)


def payment_credit(*, top_up_id: UUID | str, as_of: datetime) -> CreditOutput:
    """Ask Paystack about the top-up's references, and credit the wallet if one is paid as it was
    asked for; return what came of it.

    Only `success` with our amount and currency credits; a success with others goes into suspense
    and ends the top-up. Once, however often and from wherever it is called. Raises Unavailable
    `paystack_unavailable` when a reference cannot be asked about and none is paid.
    """
    top_up = _found(top_up_id)
    away: Unavailable | None = None
    for reference in top_up.references.filter(status__in=_ASKED).order_by("-number"):
        if TopUpStatus(top_up.status).terminal or TopUpStatus(top_up.status).paid:
            break
        try:
            said = paystack.verify(reference.reference)
        except Unavailable as error:
            away = error
            continue
        if said.status is PaymentStatus.SUCCESS:
            failpoint("credit_wallet.verified")
            with refused(top_up_id, action=f"{TOPUP}.credit_wallet"):
                _take_in(top_up.pk, reference.reference, said, as_of=as_of)
            top_up = _found(top_up_id)
    # Another call may have been faster with what is paid.
    output = _output(_found(top_up_id))
    if away is not None and not output.final:
        raise away
    return output


def payment_cancel(*, top_up_id: UUID | str, code: str, detail: str, as_of: datetime) -> TopUpFacts:
    """End a top-up that nobody has paid; return its state. No-op once it is credited or has ended.

    Paystack knows no cancellation: who pays later all the same is credited, or paid back, by a
    person.
    """
    with refused(top_up_id, action=f"{TOPUP}.cancel_payment"), transaction.atomic(durable=True):
        top_up = top_up_lock(top_up_id, *RELATED)
        if not top_up.has_ended and not TopUpStatus(top_up.status).paid:
            end(top_up, code=code, detail=detail, as_of=as_of)
            failpoint("cancel_payment.uncommitted")
        return facts_of(top_up)


# --- helpers --------------------------------------------------------------------------------------
def _found(top_up_id: UUID | str) -> TopUp:
    rows = TopUp.objects.select_related(*RELATED)
    top_up = rows.filter(pk=process.id_of(PROCESS, top_up_id)).first()
    if top_up is None:
        raise process.unknown(PROCESS)
    return top_up


def _reference_commit(top_up_id: UUID | str, as_of: datetime) -> PaystackReference:
    """Return the reference that can be paid, or commit a new one."""
    with transaction.atomic(durable=True):
        top_up = top_up_lock(top_up_id, *RELATED)
        process.check_unsettled(PROCESS, top_up)
        last = top_up.references.order_by("-number").first()
        if last is not None and last.status in (ReferenceStatus.OPEN, ReferenceStatus.PAID):
            return last
        check_address(top_up.wallet.rider.email)
        number = last.number + 1 if last else 1
        step_save(top_up, Step.INITIATE_PAYMENT, StepStatus.RUNNING)
        return PaystackReference.objects.create(
            reference=f"{TOPUP}-{top_up.pk}-{number}",
            top_up=top_up,
            number=number,
            created_at=as_of,
        )


def _reference_refused(known: PaystackReference, why: str) -> None:
    with transaction.atomic(durable=True):
        top_up = top_up_lock(known.top_up_id)
        known.status = ReferenceStatus.REFUSED
        known.save(update_fields=["status"])
        step_save(top_up, Step.INITIATE_PAYMENT, StepStatus.FAILED, why)


def _reference_opened(
    known: PaystackReference, made: paystack.Initialized, *, seconds: float
) -> Initiated:
    with transaction.atomic(durable=True):
        top_up = top_up_lock(known.top_up_id, *RELATED)
        process.check_unsettled(PROCESS, top_up)
        known.status = ReferenceStatus.OPEN
        known.access_code, known.authorization_url = made.access_code, made.authorization_url
        known.save(update_fields=["status", "access_code", "authorization_url"])
        if top_up.status == TopUpStatus.RUNNING:
            top_up.status = TopUpStatus.AWAITING_PAYMENT
            top_up.pay_until = timezone.now() + timedelta(seconds=seconds)
        step_save(
            top_up,
            Step.INITIATE_PAYMENT,
            StepStatus.DONE,
            known.reference,
            fields=("status", "pay_until"),
        )
        record(top_up, f"{TOPUP}.payment_opened", reference=known.reference)
    return Initiated(known.reference, known.authorization_url)


def _take_in(top_up_id: UUID, reference: str, said: paystack.Verified, *, as_of: datetime) -> None:
    with transaction.atomic(durable=True):
        top_up = top_up_lock(top_up_id, *RELATED)
        payment = payment_take_in(reference, said, top_up, as_of=as_of)
        other = payment is not None and payment.status != MoneyStatus.CREDITED
        # Whoever has paid something else will not pay again: nobody has to wait for it.
        if other and not top_up.has_ended and not TopUpStatus(top_up.status).paid:
            review = payment.reviews.order_by("pk").first() if payment else None
            code = review.code if review else "payment_refused"
            end(top_up, code=code, detail=str(_OTHER), as_of=as_of)
        failpoint("credit_wallet.uncommitted")


_OTHER = _("Something else was paid than was asked for. A person looks at it.")


def _output(top_up: TopUp) -> CreditOutput:
    status = TopUpStatus(top_up.status)
    return CreditOutput(
        success=status.paid,
        transactionId=transaction_of(top_up),
        final=status.terminal or status.paid,
        code=top_up.error_code,
        error=top_up.error_detail,
    )
