"""Bookings as their sagas leave them: confirmed and paid from a wallet."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.bookings.models import Booking, Fare, Trip, TripStop
from apps.bookings.services import requesting, running
from tests.bookings.conftest import World, put_rider


def move(trip: Trip, first: datetime) -> None:
    """Let the trip leave its first stop then, and each other an hour after the one before."""
    for stop in TripStop.objects.filter(trip=trip):
        at = first + timedelta(hours=stop.n - 1)
        TripStop.objects.filter(pk=stop.pk).update(arrives_at=at, departs_at=at)
    Trip.objects.filter(pk=trip.pk).update(departs_at=first)


def paid_booking(
    world: World,
    rider: str = "ada",
    *,
    trip: Trip | None = None,
    fare: str = "",
    balance: str = "5000.00",
    **changes: Any,
) -> Booking:
    """A confirmed booking A-B of the rider, who has so much before."""
    put_rider(rider, balance)
    if fare:
        Fare.objects.filter(from_n=1, to_n=2).update(amount=Decimal(fare))
    trip, now = trip or world.trip(), timezone.now()
    booking, _new = requesting.booking_request(
        **{
            "user_id": rider,
            "bus_id": trip.vehicle.code,
            "segment": "A-B",
            "trip_id": trip.pk,
            "by": world.people["requester"],
            "via": "api",
            "as_of": now,
            **changes,
        }
    )
    running.seat_reserve(booking_id=booking.pk, as_of=now)
    running.booking_complete(booking_id=booking.pk, wallet=True, as_of=now)
    return Booking.objects.select_related("trip").get(pk=booking.pk)
