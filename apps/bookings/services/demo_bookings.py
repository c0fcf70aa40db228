"""The demo's bookings, and a refund that waits for its signature. Idempotent by keys.

The data are a table, `apps/bookings/demo/bookings.csv`: `place` counts the vehicle's open trips
from the next one, `seat` is left out where any will do. Not of `demo-rider`, and not on the last
trip of `demo-bus`: outside checks rely on both.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.bookings.contracts import BookingStatus, TripStatus
from apps.bookings.models import Booking, Trip
from apps.bookings.services.refunds import refund_request
from apps.bookings.services.requesting import booking_request
from apps.bookings.services.running import booking_complete, seat_reserve
from apps.web.demo import table

KEY = "demo-booking-{place}"
#: Not on a trip whose sale is about to end.
SOON = timedelta(hours=1)
#: The booking of this line is given a part of its fare back, once somebody has signed that.
REFUNDED, REFUND_KEY, BACK = 3, "demo-refund", Decimal("2500.00")


def bookings_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    rows: list[dict[str, Any]] = table("bookings", "bookings", dict, place=int, seat=int)
    made = [_booked(KEY.format(place=n), row, people) for n, row in enumerate(rows, start=1)]
    sold = made[REFUNDED - 1]
    if sold is not None:
        refund_request(
            booking_id=sold.pk,
            amount=BACK,
            reason="The seat did not recline, on a night trip.",
            by=people["agent"],
            via="command",
            idempotency_key=REFUND_KEY,
            as_of=timezone.now(),
        )
    yield f"{len(rows)} bookings, and a refund to sign"


def _booked(key: str, row: dict[str, Any], people: dict[str, User]) -> Booking | None:
    """Return the booking of a line, confirmed; None if its trip is not to be had."""
    by, now = people["requester"], timezone.now()
    booking = Booking.objects.filter(requested_by=by, idempotency_key=key).first()
    if booking is None:
        trip = _trip(row["vehicle"], row["place"])
        if trip is None:
            return None
        booking, _new = booking_request(
            user_id=row["user_id"],
            bus_id=row["vehicle"],
            segment=row["segment"],
            trip_id=trip.pk,
            seat_number=row["seat"],
            by=by,
            via="command",
            idempotency_key=key,
            as_of=now,
        )
    if booking.status == BookingStatus.RUNNING:
        # What its workflow would do: the demo is complete before a worker is there.
        seat_reserve(booking_id=booking.pk, as_of=now)
        booking_complete(booking_id=booking.pk, wallet=True, as_of=now)
    return booking


def _trip(vehicle: str, place: int) -> Trip | None:
    ahead = Trip.objects.filter(
        vehicle__code=vehicle, status=TripStatus.OPEN, departs_at__gt=timezone.now() + SOON
    )
    return ahead.order_by("departs_at")[place - 1 : place].first()
