"""Cancels bookings: one verb, whoever asks, decided under the row's lock."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.audit.contracts import ENGINE, Actor
from apps.bookings.contracts import BOOKING, DEFAULT_REASON, BookingStatus, Step
from apps.bookings.models import Booking
from apps.bookings.services.refunds import refund_by_rule, refund_quote
from apps.bookings.services.rows import (
    PROCESS,
    booking_lock,
    record,
    row_save,
    step_statuses,
)
from apps.bookings.services.settling import end, leave
from apps.common.ended import ended_already
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine import process
from apps.engine.steps import refused

CANCEL = "bookings.cancel_booking"


def booking_cancel(
    *, booking_id: UUID | str, by: User, via: str, reason: str = "", as_of: datetime
) -> Booking:
    """Cancel the booking; only who asked for it, or an agent.

    Not paid yet: the seat is free in this transaction. While it is being paid: all of the money
    goes back first, then the seat is free; the workflow does both. Confirmed: the seat is free in
    this transaction, and a refund by the rule is made, which may need a signature
    (`refunds.refund_quote`). Again: the same answer. Raises, each audited: NotFound; NotAllowed
    `permission_denied`; Invalid `reason_invalid`; Conflict `already_settled` for a booking that
    failed, `departed` for a confirmed one after boarding.
    """
    with process.acting(
        PROCESS, "cancel", booking_id, by=by, via=via, reason=reason, permission=CANCEL
    ) as (booking, reason):
        _cancel(booking, by=by, via=via, reason=reason, as_of=as_of)
    return booking


def booking_cancel_signalled(*, booking_id: UUID | str, reason: str, as_of: datetime) -> None:
    """As `booking_cancel`, for the signal of the workflow: whoever may send it may cancel."""
    with (
        refused(PROCESS, booking_id, action=f"{BOOKING}.cancel"),
        transaction.atomic(durable=True),
    ):
        booking = booking_lock(booking_id, "trip")
        _cancel(booking, by=ENGINE, via="signal", reason=clean_reason(reason), as_of=as_of)


def _cancel(booking: Booking, *, by: Actor, via: str, reason: str, as_of: datetime) -> None:
    if booking.status == BookingStatus.CANCELLED or booking.cancel_requested_at:
        return
    if booking.status == BookingStatus.FAILED:
        raise Conflict(ended_already(booking.status), code="already_settled", status=booking.status)
    reason = reason or DEFAULT_REASON
    if booking.status == BookingStatus.CONFIRMED:
        _cancel_confirmed(booking, by=by, via=via, reason=reason, as_of=as_of)
        return
    booking.cancel_requested_at, booking.cancel_reason = as_of, reason
    booking.cancel_requested_by = by if isinstance(by, User) else None
    row_save(booking, "cancel_requested_at", "cancel_reason", "cancel_requested_by")
    if Step.PROCESS_PAYMENT in step_statuses(booking):
        # The card may be charged: only the workflow can take that back.
        record(booking, f"{BOOKING}.cancel_requested", by=by, via=via, reason=reason)
        return
    end(
        booking,
        BookingStatus.CANCELLED,
        code="cancelled",
        detail=reason,
        by=by,
        via=via,
        as_of=as_of,
    )


def _cancel_confirmed(
    booking: Booking, *, by: Actor, via: str, reason: str, as_of: datetime
) -> None:
    quote = refund_quote(booking, as_of=as_of)
    if quote.departed:
        raise Conflict(_("The trip has left the boarding stop."), code="departed")
    booking.cancel_requested_at, booking.cancel_reason = as_of, reason
    booking.cancel_requested_by = by if isinstance(by, User) else None
    leave(
        booking,
        BookingStatus.CANCELLED,
        "cancel_requested_at",
        "cancel_reason",
        "cancel_requested_by",
        code="cancelled",
        detail=reason,
        by=by,
        via=via,
        as_of=as_of,
    )
    refund_by_rule(booking, quote, reason=reason, by=by, via=via, as_of=as_of)
