"""The process of a refund: its locked row, the money, and the person who is asked when the payment
service does not answer."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.audit.contracts import ENGINE, Actor
from apps.bookings import payments
from apps.bookings.contracts import REFUND as SUBJECT
from apps.bookings.contracts import (
    REFUND_ATTENTION_KIND,
    REFUND_WORKFLOW,
    TASK_QUEUE,
    RefundRef,
    RefundStatus,
)
from apps.bookings.models import Refund
from apps.bookings.services.payment import charge_of
from apps.bookings.services.revenue import money_keep
from apps.bookings.services.rows import PROCESS, booking_lock, is_by_wallet, movement
from apps.common.errors import Conflict, DomainError
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.engine import process
from apps.engine.heartbeats import heartbeating
from apps.engine.process import Carrier, Process
from apps.engine.services import timings
from apps.engine.steps import refused
from apps.outbound.calls import Refused
from apps.wallets.services import card_refunded, wallet_refund

if TYPE_CHECKING:
    from django.db.models import QuerySet


def _lock(refund_id: UUID | str) -> Refund:
    """Lock the booking, then its refund."""
    rows = Refund.objects.filter(pk=process.id_of(REFUND, refund_id))
    booking_id = rows.values_list("booking", flat=True).first()
    if booking_id is None:
        raise process.unknown(REFUND)
    booking = booking_lock(booking_id, "trip")
    refund = process.row_locked(REFUND, refund_id)
    refund.booking = booking
    return refund


def _open_rows() -> "QuerySet[Refund]":
    """Return those that are sent. A person is asked about the unknown ones."""
    return Refund.objects.filter(status=RefundStatus.SENDING)


CARRIER: Carrier[Refund] = Carrier(
    REFUND_WORKFLOW,
    lambda refund, again: RefundRef(str(refund.pk), timings()),
    process.SAGA_BACKSTOP,
)

REFUND = Process(
    subject=SUBJECT,
    title=_("Refund"),
    noun="refund",
    missing=_("There is no such refund."),
    opens=_("Open the refund"),
    model=Refund,
    queue=TASK_QUEUE,
    url_name="refund",
    carriers=(CARRIER,),
    needs=lambda refund: CARRIER if refund.status == RefundStatus.SENDING else None,
    open_rows=_open_rows,
    own_id=True,
    keeps_id=lambda refund: True,
    lock=_lock,
    list_topics=("refunds",),
    shared_topics=("home",),
)


# --- the money ------------------------------------------------------------------------------------
def refund_send(refund: Refund, *, by: Actor, via: str, as_of: datetime) -> None:
    """Give the money back: to a wallet in this transaction, to a card by the refund's workflow.
    Joins the transaction that holds the lock of the booking."""
    decided = Decided(by, via, as_of)
    if not is_by_wallet(refund.booking):
        refund.status = RefundStatus.SENDING
        process.save(REFUND, refund, "status")
        refund_record(refund, "sending", by=by, via=via)
        process.start(REFUND, refund)
        return
    try:
        wallet_refund(user_id=refund.booking.user_id, **_moved(refund, as_of))
    except DomainError as trouble:
        _ask(refund, code=trouble.code, detail=trouble.recorded, as_of=as_of)
        return
    refund_end(refund, RefundStatus.DONE, decided)


def refund_call(*, refund_id: UUID | str) -> str:
    """Ask the payment service to send the money back, by the refund's key; return the status.

    No answer may mean that it was sent: asking again is safe. Raises Conflict `refund_refused` when
    the service refuses; Unavailable without an answer.
    """
    refund = _found(refund_id)
    if refund.status != RefundStatus.SENDING:
        return refund.status
    charge = charge_of(refund.booking)
    failpoint("refund.begun")
    with refused(REFUND, refund_id, action=f"{SUBJECT}.send"):
        try:
            receipt = heartbeating(
                payments.refund,
                charge,
                refund.amount,
                transaction_id=refund.booking.receipt,
                key=refund.key,
            )
        except Refused as no:
            raise Conflict(str(no), code="refund_refused") from no
    failpoint("refund.answered")
    return _sent(refund_id, receipt)


def _sent(refund_id: UUID | str, receipt: str) -> str:
    """Note that the money was sent; once."""
    with transaction.atomic(durable=True):
        refund = _lock(refund_id)
        if not refund.has_ended:
            now = timezone.now()
            refund.receipt = receipt
            process.save(REFUND, refund, "receipt")
            card_refunded(**_moved(refund, now))
            refund_end(refund, RefundStatus.DONE, Decided(ENGINE, "engine", now))
        return refund.status


def refund_end(refund: Refund, status: RefundStatus, decided: Decided) -> None:
    """End the locked refund for good. Joins the caller's transaction."""
    why = {"code": decided.code, "detail": decided.detail}
    process.save(REFUND, refund, *process.ended(refund, status, as_of=decided.as_of, **why))
    process.announce(PROCESS, refund.booking)
    process.tell_followers(REFUND, refund, process.SETTLED)
    told = {**why, "amount": exact(refund.amount, refund.currency), "currency": refund.currency}
    refund_record(refund, status, by=decided.by, via=decided.via, **told)


def refund_record(refund: Refund, event: str, *, by: Actor, via: str, **body: object) -> None:
    """Write an audit entry about the refund."""
    booking = refund.booking.workflow_id
    process.record(REFUND, refund, f"{SUBJECT}.{event}", by=by, via=via, booking=booking, **body)


# --- no answer ------------------------------------------------------------------------------------
def refund_unknown(*, refund_id: UUID | str, code: str, detail: str) -> str:
    """Note that nobody knows whether the money was sent, and ask a person; return the status. No-op
    unless it is being sent."""
    with transaction.atomic(durable=True):
        refund = _lock(refund_id)
        if refund.status == RefundStatus.SENDING:
            _ask(refund, code=code, detail=detail, as_of=timezone.now())
        return refund.status


def refund_closed(*, refund_id: UUID | str, workflow_id: str, why: str, as_of: datetime) -> None:
    """Ask a person about a refund whose workflow is no more. Joins the caller's transaction."""
    refund = process.carried(REFUND, refund_id, workflow_id)
    if refund is not None and refund.status == RefundStatus.SENDING:
        detail = gettext("{why} The money may have been sent.").format(why=why)
        _ask(refund, code="workflow_closed", detail=detail, as_of=as_of)


def _ask(refund: Refund, *, code: str, detail: str, as_of: datetime) -> None:
    refund.status = RefundStatus.UNKNOWN
    refund.error_code, refund.error_detail = code[:60], detail[:5000]
    process.save(REFUND, refund, "status", "error_code", "error_detail")
    ATTENTION.ask(refund, code=code, detail=detail, as_of=as_of)


def _again(refund: Refund, decided: Decided) -> None:
    """Try it again by the same key."""
    if refund.status != RefundStatus.UNKNOWN:
        return
    refund.error_code = refund.error_detail = ""
    if is_by_wallet(refund.booking):
        process.save(REFUND, refund, "error_code", "error_detail")
        refund_send(refund, by=decided.by, via=decided.via, as_of=decided.as_of)
        return
    refund.status = RefundStatus.SENDING
    process.save(REFUND, refund, "status", "error_code", "error_detail")
    process.start_again(REFUND, refund, key=f"attention:{decided.request_id}")


def _give_up(refund: Refund, decided: Decided) -> None:
    refund_end(refund, RefundStatus.REJECTED, decided)
    refund.booking.refresh_from_db(fields=["refunded"])
    money_keep(refund.booking, event=f"{refund.n}:given_up", as_of=decided.as_of)


ATTENTION = Attention(
    row=REFUND,
    kind=REFUND_ATTENTION_KIND,
    approve=_("Send it again. It has the same key, so the money goes back once."),
    reject=lambda refund: gettext("Do not send it. What was not sent can be asked for again."),
    on_carry_on=_again,
    on_give_up=_give_up,
)


def _found(refund_id: UUID | str) -> Refund:
    rows = Refund.objects.select_related("booking__reservation")
    refund = rows.filter(pk=process.id_of(REFUND, refund_id)).first()
    if refund is None:
        raise process.unknown(REFUND)
    return refund


def _moved(refund: Refund, as_of: datetime) -> dict[str, Any]:
    return movement(refund.booking, refund.amount, key=refund.key, as_of=as_of)
