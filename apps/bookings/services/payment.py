"""The payment: from the rider's wallet in one transaction, or a card's charge in another system."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from apps.bookings import payments
from apps.bookings.contracts import BOOKING, Step
from apps.bookings.models import Booking
from apps.bookings.payments import Charge
from apps.bookings.services.rows import (
    PROCESS,
    StepStatus,
    booking_step,
    check_goes_on,
    movement,
    payment_key,
    step_save,
    step_statuses,
)
from apps.bookings.services.seats import seat_paying
from apps.engine.contracts import EffectState
from apps.engine.effects import Effect
from apps.wallets.services import wallet_pay


def wallet_payment(*, booking_id: UUID | str, as_of: datetime) -> None:
    """Pay the fare from the rider's wallet, once; from then on the seat does not expire.

    Raises Conflict `cancelled`, `already_settled`, `reservation_expired`, `insufficient_funds`,
    `wallet_frozen`; NotFound `wallet_not_found`; Invalid `currency_differs`.
    """
    with booking_step(
        booking_id, step=Step.PROCESS_PAYMENT, action=f"{BOOKING}.pay", related=("trip",)
    ) as booking:
        if step_statuses(booking).get(Step.PROCESS_PAYMENT) == StepStatus.DONE:
            return
        check_goes_on(booking)
        seat_paying(booking=booking, as_of=as_of)
        booking.charged, booking.receipt = booking.fare, payment_key(booking)
        step_save(booking, Step.PROCESS_PAYMENT, StepStatus.DONE, fields=("charged", "receipt"))
        # Last, because it locks the wallet, which other bookings of the rider need too.
        paid = movement(booking, booking.fare, key=payment_key(booking), as_of=as_of)
        wallet_pay(user_id=booking.user_id, **paid)


def charge_of(booking: Booking) -> Charge:
    """Return the booking's only charge, as the payment service knows it."""
    return Charge(
        key=payments.charge_key(booking.workflow_id, "processPayment"),
        user_id=booking.user_id,
        reservation_id=str(booking.reservation.pk),
        amount=booking.fare,
        currency=booking.currency,
    )


def _check(booking: Booking) -> None:
    check_goes_on(booking)
    seat_paying(booking=booking, as_of=timezone.now())


def _take_back(booking: Booking, void_only: bool) -> tuple[EffectState, str]:
    charge = charge_of(booking)
    return payments.take_back(charge, transaction_id=booking.receipt, void_only=void_only)


#: Codes `already_settled`, `being_undone`, `cancelled`, `reservation_expired`, `payment_refused`,
#: `receipt_differs`, `payment_unknown`.
PAYMENT = Effect(
    process=PROCESS,
    name="payment",
    step=Step.PROCESS_PAYMENT,
    reversal=Step.REVERSE_PAYMENT,
    call=lambda booking: payments.charge(charge_of(booking)),
    take_back=_take_back,
    check=_check,
    reversible=lambda booking: True,
)
