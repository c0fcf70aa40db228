"""API scopes of trips, seats and bookings."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    BOOKINGS_READ = "bookings:read"
    BOOKINGS_WRITE = "bookings:write"
