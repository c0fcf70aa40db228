"""Activities of bookings: fetch the input, call the service, return a contract.

`reserveSeat` to `assignToManifest` have the names, inputs and outputs that other systems know;
they find the booking by the id of the workflow that runs them. All but the two that talk to the
payment service are short idempotent database steps.
"""

from collections.abc import Callable
from typing import Any

from django.utils import timezone
from temporalio import activity

from apps.bookings.contracts import (
    AttentionInput,
    BookingFacts,
    BookingInput,
    CancelInput,
    ConfirmInput,
    ConfirmOutput,
    ManifestInput,
    OpenInput,
    PaymentInput,
    PaymentOutput,
    RefundInput,
    RefundResult,
    ReleaseSeatInput,
    ReservedSeat,
    ReserveSeatInput,
    ReversalResult,
    SettleInput,
)
from apps.bookings.services import (
    attention,
    cancelling,
    payment,
    reading,
    refund_rows,
    requesting,
    running,
    settling,
)
from apps.common.errors import Conflict
from apps.engine import effects


# --- as other systems know them -------------------------------------------------------------------
@activity.defn(name="reserveSeat")
def reserve_seat(input: ReserveSeatInput) -> ReservedSeat:
    """Hold a seat for the workflow's booking."""
    held = running.seat_reserve(booking_id=_own(), as_of=timezone.now())
    return ReservedSeat(held.reservation_id, held.seat_number, held.expires_at)


@activity.defn(name="releaseSeat")
def release_seat(input: ReleaseSeatInput) -> None:
    """End the workflow's booking: its money goes back and its seat is free."""
    settling.booking_settle(
        booking_id=_own(), status="failed", code="released", detail="Its seat was given back."
    )


# `heartbeating` checks for cancellation: an exception raised in the thread could prevent writing
# down the payment service's answer.
@activity.defn(name="processPayment", no_thread_cancel_exception=True)
def process_payment(input: PaymentInput) -> PaymentOutput:
    """Pay for the workflow's booking. A refusal is an answer; no answer is tried again."""
    booking = _own()
    try:
        if reading.paid_by_wallet(booking):
            payment.wallet_payment(booking_id=booking, as_of=timezone.now())
            return PaymentOutput(True, reading.receipt_of(booking))
        return PaymentOutput(True, effects.carry_out(payment.PAYMENT, booking))
    except Conflict as refused:
        return PaymentOutput(False, error=str(refused.detail))


@activity.defn(name="confirmBooking")
def confirm_booking(input: ConfirmInput) -> ConfirmOutput:
    """Sell the seat of the workflow's booking."""
    booking = _own()
    running.booking_confirm(booking_id=booking, as_of=timezone.now())
    return ConfirmOutput(booking)


@activity.defn(name="sendBookingConfirmation")
def send_confirmation(input: ManifestInput) -> None:
    """Queue the rider's confirmation."""
    running.confirmation_queue(booking_id=_own())


@activity.defn(name="assignToManifest")
def assign_to_manifest(input: ManifestInput) -> None:
    """Write the workflow's booking on the manifest."""
    running.manifest_add(booking_id=_own())


# --- of our own workflow --------------------------------------------------------------------------
@activity.defn(name="open_booking")
def open_booking(input: OpenInput) -> BookingFacts:
    """Return the workflow's booking; make it if the workflow was started by hand."""
    return requesting.booking_open(
        workflow_id=input.workflow_id, request=input.request, as_of=input.as_of
    )


@activity.defn(name="charge_card", no_thread_cancel_exception=True)
def charge_card(input: BookingInput) -> str:
    """Charge the card; return the transaction."""
    return effects.carry_out(payment.PAYMENT, input.booking_id)


@activity.defn(name="reverse_charge", no_thread_cancel_exception=True)
def reverse_charge(input: BookingInput) -> ReversalResult:
    """Take the card's charge back; return the resulting state."""
    return ReversalResult(effects.undo(payment.PAYMENT, input.booking_id))


@activity.defn(name="book_from_wallet")
def book_from_wallet(input: BookingInput) -> None:
    """Hold the seat, pay from the wallet, confirm, tell the rider, and write the manifest, in one
    transaction."""
    running.booking_complete(booking_id=input.booking_id, wallet=True, as_of=timezone.now())


@activity.defn(name="complete_booking")
def complete_booking(input: BookingInput) -> None:
    """Confirm, tell the rider, and write the manifest, in one transaction: after a card's
    charge."""
    running.booking_complete(booking_id=input.booking_id, wallet=False, as_of=timezone.now())


@activity.defn(name="read_booking")
def read_booking(input: BookingInput) -> BookingFacts:
    """Return what the database knows of the booking."""
    return reading.booking_facts(booking_id=input.booking_id)


@activity.defn(name="settle_booking")
def settle_booking(input: SettleInput) -> BookingFacts:
    """End a booking that does not stand; return its state."""
    return settling.booking_settle(
        booking_id=input.booking_id, status=input.status, code=input.code, detail=input.detail
    )


@activity.defn(name="cancel_booking")
def cancel_booking(input: CancelInput) -> None:
    """Cancel the booking because somebody signalled its workflow."""
    cancelling.booking_cancel_signalled(
        booking_id=input.booking_id, reason=input.reason, as_of=timezone.now()
    )


@activity.defn(name="raise_booking_attention")
def raise_attention(input: AttentionInput) -> None:
    """Ask a person for a decision about the booking."""
    attention.attention_open(input.booking_id, code=input.code, detail=input.detail)


# --- refunds to cards -----------------------------------------------------------------------------
@activity.defn(name="send_refund", no_thread_cancel_exception=True)
def send_refund(input: RefundInput) -> RefundResult:
    """Send the refund's money back by the payment service."""
    return RefundResult(refund_rows.refund_call(refund_id=input.refund_id))


@activity.defn(name="raise_refund_attention")
def raise_refund_attention(input: RefundInput) -> RefundResult:
    """Note that nobody knows whether the money was sent, and ask a person."""
    status = refund_rows.refund_unknown(
        refund_id=input.refund_id, code=input.code, detail=input.detail
    )
    return RefundResult(status)


def _own() -> str:
    """Return the booking of the workflow that runs this activity. Raises NotFound."""
    return reading.booking_of_workflow(activity.info().workflow_id or "")


ACTIVITIES: list[Callable[..., Any]] = [
    reserve_seat,
    release_seat,
    process_payment,
    confirm_booking,
    send_confirmation,
    assign_to_manifest,
    open_booking,
    charge_card,
    reverse_charge,
    book_from_wallet,
    complete_booking,
    read_booking,
    settle_booking,
    cancel_booking,
    raise_attention,
    send_refund,
    raise_refund_attention,
]
