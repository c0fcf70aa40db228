"""Seats: held, kept while they are paid, sold and given back; never twice over one stretch.

Who holds a seat locks the trip's row first, in a statement of its own: a choice made in the locking
statement would see the seats as they were before the lock. So holds of one trip take turns, and a
seat is refused only if none is free. What happens to a reservation afterwards never touches the
trip's row, or it would wait for a hold that waits for it. Lock order: the booking, the trip, its
reservations; other people's expired holds are passed over if somebody is at them.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from apps.bookings.contracts import ACTIVE, TRIP, Held, ReservationStatus, TripStatus
from apps.bookings.models import Booking, Reservation, Trip
from apps.common.errors import Conflict
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.live.broadcast import broadcast

#: Expired holds of others go; answers when the trip leaves the boarding stop.
EXPIRE = """
WITH late AS (
    SELECT id
      FROM bookings_reservation
     WHERE trip_id = %(trip)s AND status = 'held' AND expires_at <= %(as_of)s
       AND booking_id <> %(booking)s
       FOR UPDATE SKIP LOCKED
),
gone AS (
    UPDATE bookings_reservation AS reservation
       SET status = 'expired'
      FROM late
     WHERE reservation.id = late.id
)
SELECT departs_at FROM bookings_tripstop WHERE trip_id = %(trip)s AND n = %(from_n)s
"""

#: Of the seats that are free over the stretch the one with the smallest free gap around it, then
#: the one with the lowest number. Seats and what is taken of them are grouped together, not joined:
#: of a new trip the planner expects a handful of rows, and would join them row by row.
HOLD = """
WITH known AS (
    SELECT number, NOT blocked AS for_sale, NULL::int4range AS taken
      FROM bookings_tripseat
     WHERE trip_id = %(trip)s
     UNION ALL
    SELECT seat_number, FALSE, stretch
      FROM bookings_reservation
     WHERE trip_id = %(trip)s AND status IN ('held', 'paying', 'confirmed')
),
chosen AS (
    SELECT number
      FROM known
     WHERE %(seat)s::integer IS NULL OR number = %(seat)s
     GROUP BY number
    HAVING bool_or(for_sale)
       AND bool_or(taken && int4range(%(from_n)s, %(to_n)s)) IS NOT TRUE
     ORDER BY coalesce(
                  min(lower(taken)) FILTER (WHERE lower(taken) >= %(to_n)s),
                  (SELECT max(n) FROM bookings_tripstop WHERE trip_id = %(trip)s)
              ) - coalesce(max(upper(taken)) FILTER (WHERE upper(taken) <= %(from_n)s), 1),
              number
     LIMIT 1
)
INSERT INTO bookings_reservation
    (id, booking_id, trip_id, seat_number, stretch, status, expires_at, created_at)
SELECT %(id)s, %(booking)s, %(trip)s, chosen.number, int4range(%(from_n)s, %(to_n)s), 'held',
       %(expires_at)s, %(as_of)s
  FROM chosen
    ON CONFLICT (booking_id) DO NOTHING
RETURNING seat_number
"""


def seat_hold(*, booking: Booking, seat_number: int | None = None, as_of: datetime) -> Held:
    """Hold a seat for the booking over its stretch, for RESERVATION_SECONDS; the one with that
    number if it is given. Joins the caller's transaction, which has locked the booking.

    The same booking again gets the same seat, with the same end of the hold. Raises Conflict
    `trip_closed` unless the trip is open and has not left the boarding stop, `no_seat`,
    `seat_taken` (that number is not free), `reservation_expired` when the booking's reservation was
    given back.
    """
    # The lock is a statement of its own. It leaves others free to refer to the trip.
    locked = Trip.objects.select_for_update(no_key=True).filter(pk=booking.trip_id)
    status = locked.values_list("status", flat=True).first()
    if status != TripStatus.OPEN:
        return _again(booking) or _refused_closed()
    about: dict[str, Any] = {
        "id": new_id(),
        "booking": booking.pk,
        "trip": booking.trip_id,
        "from_n": booking.from_n,
        "to_n": booking.to_n,
        "seat": seat_number,
        "as_of": as_of,
        "expires_at": as_of + timedelta(seconds=settings.RESERVATION_SECONDS),
    }
    with connection.cursor() as cursor:
        cursor.execute(EXPIRE, about)
        boards = cursor.fetchone()
        if boards is None or boards[0] <= as_of:
            return _again(booking) or _refused_closed()
        cursor.execute(HOLD, about)
        found = cursor.fetchone()
    if found is None:
        return _again(booking) or _refused_seat(seat_number)
    seats_announce(booking.trip_id)
    return Held(str(about["id"]), found[0], about["expires_at"])


def seat_paying(*, booking: Booking, as_of: datetime) -> None:
    """Keep the held seat while it is paid: it expires no more. Called before the charge; joins the
    caller's transaction. Again, or once it is sold, it changes nothing.

    Raises Conflict `reservation_expired` when there is no hold, it has ended by `as_of`, or the
    seat was given back: nothing may be charged then.
    """
    held = _of(booking).filter(status=ReservationStatus.HELD, expires_at__gt=as_of)
    if held.update(status=ReservationStatus.PAYING):
        seats_announce(booking.trip_id)
    elif not _is(booking, ReservationStatus.PAYING, ReservationStatus.CONFIRMED):
        raise _gone()


def seat_confirm(*, booking: Booking) -> None:
    """Sell the seat that is being paid. Joins the caller's transaction; again it changes nothing.

    Raises Conflict `reservation_expired` when no seat is kept for a payment of this booking.
    """
    paying = _of(booking).filter(status=ReservationStatus.PAYING)
    if paying.update(status=ReservationStatus.CONFIRMED):
        seats_announce(booking.trip_id)
    elif not _is(booking, ReservationStatus.CONFIRMED):
        raise _gone()


def seat_release(*, booking: Booking) -> bool:
    """Give the booking's seat back, whatever it was kept for; return whether there was one. Joins
    the caller's transaction; again it changes nothing."""
    freed = _of(booking).filter(status__in=ACTIVE).update(status=ReservationStatus.RELEASED)
    if freed:
        seats_announce(booking.trip_id)
    return bool(freed)


def seats_announce(trip_id: UUID) -> None:
    """Update open pages of the trip. Its seats have no version: pages fetch what is there."""
    broadcast(f"{TRIP}:{trip_id}", id=str(trip_id), version=0)


# --- helpers -------------------------------------------------------------------------------------
def _of(booking: Booking) -> Any:
    return Reservation.objects.filter(booking=booking)


def _is(booking: Booking, *statuses: ReservationStatus) -> bool:
    found: bool = _of(booking).filter(status__in=statuses).exists()
    return found


def _again(booking: Booking) -> Held | None:
    """Return the seat that the booking has already; None if it never had one. Raises Conflict
    `reservation_expired`."""
    known = _of(booking).first()
    if known is None:
        return None
    if known.status not in ACTIVE:
        raise _gone()
    return Held(str(known.pk), known.seat_number, known.expires_at)


def _refused_closed() -> Held:
    raise Conflict(_("No seat is sold on this trip any more."), code="trip_closed")


def _refused_seat(seat_number: int | None) -> Held:
    if seat_number is None:
        raise Conflict(_("No seat is free all the way."), code="no_seat")
    raise Conflict(
        filled(_("Seat {seat_number} is not free all the way."), seat_number=seat_number),
        code="seat_taken",
    )


def _gone() -> Conflict:
    return Conflict(_("The seat is no longer kept for this booking."), code="reservation_expired")
