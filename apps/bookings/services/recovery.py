"""Bookings whose workflow was ended from outside, or can never be reached."""

from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext

from apps.bookings.contracts import BookingStatus
from apps.bookings.services.attention import ATTENTION
from apps.bookings.services.rows import PROCESS, is_by_wallet, payment_of, step_statuses
from apps.bookings.services.settling import end
from apps.engine import process
from apps.engine.contracts import EffectState

CHARGED = (EffectState.UNKNOWN, EffectState.DONE)


def booking_closed(*, booking_id: UUID | str, workflow_id: str, why: str, as_of: datetime) -> None:
    """End the booking of a workflow that is no more, with its money back and its seat free; if its
    card is, or may be, charged, ask a person. Joins the caller's transaction."""
    booking = process.carried(PROCESS, booking_id, workflow_id)
    if booking is None or ATTENTION.is_open(booking):
        return
    if not is_by_wallet(booking) and payment_of(step_statuses(booking)) in CHARGED:
        ATTENTION.ask(
            booking,
            code="workflow_closed",
            detail=gettext("{why} The card is charged, or may be.").format(why=why),
            as_of=as_of,
        )
        return
    end(booking, BookingStatus.FAILED, code="workflow_closed", detail=why, as_of=as_of)
