"""Tables of the network, its trips, and the seats on them, a module for each noun."""

from apps.bookings.models.bookings import Booking, BookingStep, Reservation
from apps.bookings.models.cancellations import TripCancellation, TripCancellationItem
from apps.bookings.models.manifests import Manifest, ManifestLine
from apps.bookings.models.network import Fare, Route, RouteStop, Seat, Stop, Vehicle
from apps.bookings.models.refunds import Refund
from apps.bookings.models.trips import Trip, TripSeat, TripStop

__all__ = [
    "Booking",
    "BookingStep",
    "Fare",
    "Manifest",
    "ManifestLine",
    "Refund",
    "Reservation",
    "Route",
    "RouteStop",
    "Seat",
    "Stop",
    "Trip",
    "TripCancellation",
    "TripCancellationItem",
    "TripSeat",
    "TripStop",
    "Vehicle",
]
