"""The end of a booking that does not stand: money back, seat free, in one transaction."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE, Actor
from apps.bookings.contracts import (
    BOOKING,
    BookingFacts,
    BookingStatus,
    Step,
)
from apps.bookings.models import Booking, ManifestLine
from apps.bookings.services.mails import mail_cancelled
from apps.bookings.services.rows import (
    PROCESS,
    StepStatus,
    booking_lock,
    facts_of,
    is_by_wallet,
    movement,
    payment_of,
    record,
    row_save,
    step_put,
    step_statuses,
)
from apps.bookings.services.seats import seat_release
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.contracts import EffectState
from apps.engine.steps import refused
from apps.wallets.services import card_refunded, wallet_refund


def booking_settle(
    *, booking_id: UUID | str, status: str, code: str, detail: str, as_of: datetime | None = None
) -> BookingFacts:
    """End a booking for its saga, with all of its money back; return what stands. No-op for one
    that has ended.

    A cancellation that somebody asked for wins over `status` and `code`. Raises Conflict
    `payment_stands` while the card is, or may be, charged.
    """
    with (
        refused(PROCESS, booking_id, action=f"{BOOKING}.settle"),
        transaction.atomic(durable=True),
    ):
        booking = booking_lock(booking_id, "trip")
        if not booking.has_ended:
            if booking.cancel_requested_at:
                status, code = BookingStatus.CANCELLED, "cancelled"
                detail = booking.cancel_reason or detail
            end(booking, BookingStatus(status), code=code, detail=detail, as_of=as_of)
        return facts_of(booking)


def leave(
    booking: Booking,
    status: BookingStatus,
    *fields: str,
    code: str,
    detail: str,
    by: Actor,
    via: str,
    as_of: datetime,
) -> None:
    """End the locked booking, whose money is the caller's matter: its seat is free, and it is on no
    manifest. Saves `fields` too. Joins the caller's transaction."""
    told = booking.status == BookingStatus.CONFIRMED
    ended = process.ended(booking, status, as_of=as_of, code=code, detail=detail)
    if seat_release(booking=booking):
        step_put(booking, Step.RELEASE_SEAT, StepStatus.DONE)
    ManifestLine.objects.filter(booking=booking).delete()
    row_save(booking, *ended, *fields)
    if told:
        mail_cancelled(booking)
    process.tell_followers(PROCESS, booking, process.SETTLED)
    questions_close(PROCESS, booking, by=by, reason=detail or code, as_of=as_of)
    record(booking, f"{BOOKING}.{status}", by=by, via=via, code=code, detail=detail)


def end(
    booking: Booking,
    status: BookingStatus,
    *,
    code: str,
    detail: str,
    by: Actor = ENGINE,
    via: str = "engine",
    as_of: datetime | None = None,
) -> None:
    """End the locked booking: what was charged goes back, the seat is free. Joins the caller's
    transaction. Raises Conflict `payment_stands`."""
    as_of = as_of or timezone.now()
    statuses = step_statuses(booking)
    if not is_by_wallet(booking) and payment_of(statuses) in (
        EffectState.UNKNOWN,
        EffectState.DONE,
    ):
        raise Conflict(_("The card is charged, or may be."), code="payment_stands")
    back = booking.charged - booking.refunded
    booking.refunded = booking.charged
    leave(booking, status, "refunded", code=code, detail=detail, by=by, via=via, as_of=as_of)
    if back:
        about = movement(booking, back, key=f"{BOOKING}:{booking.pk}:back", as_of=as_of)
        if is_by_wallet(booking):
            step_put(booking, Step.PROCESS_PAYMENT, StepStatus.COMPENSATED)
            wallet_refund(user_id=booking.user_id, **about)
        else:
            card_refunded(**about)
