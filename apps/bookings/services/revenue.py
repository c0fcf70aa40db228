"""What stays of a fare: it goes from what is prepaid to revenue as soon as nothing is left to
decide, and back again when it is refunded later."""

from datetime import datetime
from decimal import Decimal

from apps.bookings.contracts import BOOKING, BookingStatus, TripStatus
from apps.bookings.models import Booking
from apps.bookings.services.rows import movement, row_save
from apps.wallets.services import revenue_recognised, revenue_returned


def money_keep(booking: Booking, *, event: str, travelled: bool = False, as_of: datetime) -> None:
    """Turn what is left of the charge into revenue, if nothing more is decided: the booking is
    cancelled, or its rider has `travelled`. Once per `event`. Joins the transaction that holds its
    lock."""
    over = travelled or booking.status == BookingStatus.CANCELLED
    over = over or booking.trip.status == TripStatus.DONE
    kept = booking.charged - booking.refunded - booking.recognised
    if not over or kept <= 0:
        return
    booking.recognised += kept
    row_save(booking, "recognised")
    revenue_recognised(
        **movement(booking, kept, key=f"{BOOKING}:{booking.pk}:kept:{event}", as_of=as_of)
    )


def money_return(booking: Booking, amount: Decimal, *, key: str, as_of: datetime) -> None:
    """Turn as much revenue back as a refund of `amount` needs, which is not made yet. Once per
    `key`. Joins the transaction that holds the booking's lock."""
    prepaid = booking.charged - booking.refunded - booking.recognised
    if (returned := amount - prepaid) > 0:
        booking.recognised -= returned
        row_save(booking, "recognised")
        revenue_returned(**movement(booking, returned, key=key, as_of=as_of))
