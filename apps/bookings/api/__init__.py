"""API of trips and seats, a module for each noun."""

from apps.bookings.api.trips import router as trips_router

__all__ = ["trips_router"]
