"""Names, statuses and values that trips, seats and bookings share. Standard library only."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

TASK_QUEUE = "booking-tasks"
#: Types of the subjects in the audit trail and in live topics.
TRIP = "trip"
STOP, ROUTE, VEHICLE = "stop", "route", "vehicle"

#: A stop's code, without `-`, which separates two of them in a segment.
STOP_CODE = r"[A-Z0-9_]{1,20}"
SEGMENT = re.compile(rf"({STOP_CODE})-({STOP_CODE})", re.ASCII)


class TripStatus(StrEnum):
    """Status of a trip. Seats are sold only while it is `open`."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    DEPARTED = "departed"
    DONE = "done"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the trip is over."""
        return self in (TripStatus.DONE, TripStatus.CANCELLED)


#: How pages name the state of an open trip: other things that are open wait for somebody.
ON_SALE = "on_sale"


class BookingStatus(StrEnum):
    """Status of a booking. A confirmed one can still be cancelled."""

    RUNNING = "running"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (BookingStatus.CANCELLED, BookingStatus.FAILED)


class PaymentMethod(StrEnum):
    """How a booking is paid."""

    WALLET = "wallet"
    CARD = "card"


class ReservationStatus(StrEnum):
    """Status of a reservation. `held` expires; `paying` does not, because the money may be on its
    way; `released` and `expired` are final."""

    HELD = "held"
    PAYING = "paying"
    CONFIRMED = "confirmed"
    RELEASED = "released"
    EXPIRED = "expired"


#: Statuses in which a reservation keeps its seat from others.
ACTIVE = (ReservationStatus.HELD, ReservationStatus.PAYING, ReservationStatus.CONFIRMED)


class SeatUse(StrEnum):
    """What a seat is on one leg, or over a stretch, from the freest to the least free."""

    FREE = "free"
    HELD = "held"
    SOLD = "sold"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Held:
    """A seat that is kept for a booking until `expires_at`."""

    reservation_id: str
    seat_number: int
    expires_at: datetime
