"""APIs of bookings, and of trips and their seats."""

from apps.bookings.api.bookings import router as bookings_router
from apps.bookings.api.trips import router as trips_router

__all__ = ["bookings_router", "trips_router"]
