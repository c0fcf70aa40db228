"""Admin of the network, trips and bookings, a module for each noun."""

from apps.bookings.admin import bookings, network, trips

__all__ = ["bookings", "network", "trips"]
