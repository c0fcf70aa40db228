"""Tables of the network, its trips, and the seats on them, a module for each noun."""

from apps.bookings.models.bookings import Booking, BookingStep, Reservation
from apps.bookings.models.manifests import ManifestLine
from apps.bookings.models.network import Fare, Route, RouteStop, Seat, Stop, Vehicle
from apps.bookings.models.trips import Trip, TripSeat, TripStop

__all__ = [
    "Booking",
    "BookingStep",
    "Fare",
    "ManifestLine",
    "Reservation",
    "Route",
    "RouteStop",
    "Seat",
    "Stop",
    "Trip",
    "TripSeat",
    "TripStop",
    "Vehicle",
]
