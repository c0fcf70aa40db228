"""Names, statuses and values that trips, seats and bookings share. Standard library only.

The fields of `RideRequest`, `RideResult` and of the six activities are in camel case: clients and
workflows of others know them so.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from apps.engine.contracts import Between, EffectState, Timings

TASK_QUEUE = "booking-tasks"
#: The workflow of a booking, under both of its names, and its signal.
BOOK_WORKFLOW, BOOK_ALIAS = "BookRideWorkflow", "bookRideWorkflow"
SIGNAL_CANCEL = "cancelBooking"
#: Type of the subject in the engine and the audit trail, and the kind of its review items.
BOOKING = "booking"
ATTENTION_KIND = "booking.attention"
#: The same of refunds, and the kind of their signatures.
REFUND_WORKFLOW = "RefundWorkflow"
REFUND, REFUND_KIND, REFUND_ATTENTION_KIND = "refund", "booking.refund", "refund.attention"
#: Types of the subjects in the audit trail and in live topics.
TRIP = "trip"
STOP, ROUTE, VEHICLE = "stop", "route", "vehicle"

#: What clients of the API and of the workflow compare with.
CANCELLED_WORDS = "Booking cancelled by user"
PAYMENT_FAILED_WORDS = "Payment failed"
DEFAULT_REASON = "User requested cancellation"
#: A rider's id: it becomes a part of the workflow's id and of addresses.
USER_ID = r"[A-Za-z0-9._@-]{1,80}"

#: A stop's code, without `-`, which separates two of them in a segment.
STOP_CODE = r"[A-Z0-9_]{1,20}"
SEGMENT = re.compile(rf"({STOP_CODE})-({STOP_CODE})", re.ASCII)


class TripStatus(StrEnum):
    """Status of a trip. Seats are sold only while it is `open`; that it has left some of its stops
    is told by their times."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
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


class RefundStatus(StrEnum):
    """Status of a refund. `sending`: the payment service is asked; `unknown`: it gave no answer, or
    refused, and a person is asked. A rejected refund moves no money."""

    PROPOSED = "proposed"
    AWAITING_APPROVAL = "awaiting_approval"
    SENDING = "sending"
    UNKNOWN = "unknown"
    DONE = "done"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (RefundStatus.DONE, RefundStatus.REJECTED)


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


class Step(StrEnum):
    """Steps of the saga in order, then those of its compensation."""

    RESERVE_SEAT = "reserve_seat"
    PROCESS_PAYMENT = "process_payment"
    CONFIRM_BOOKING = "confirm_booking"
    SEND_CONFIRMATION = "send_confirmation"
    ASSIGN_TO_MANIFEST = "assign_to_manifest"
    REVERSE_PAYMENT = "reverse_payment"
    RELEASE_SEAT = "release_seat"


@dataclass(frozen=True)
class RideRequest:
    """Input of the workflow. By hand `{userId, busId, segment, fare}` is enough, and the row is
    made first; a row that is there wins over the other fields.

    `fare` in major units of the route's currency, by default the tariff's. `restarted`: the run
    continues from the row after another one ended.
    """

    userId: Annotated[str, Between(1, 80)]
    busId: Annotated[str, Between(1, 60)]
    segment: Annotated[str, Between(3, 41)]
    fare: Annotated[float, Between(0, 1_000_000_000)] | Annotated[str, Between(1, 20)] | None = None
    tripId: Annotated[str, Between(0, 36)] = ""
    seatNumber: Annotated[int, Between(1, 10_000)] | None = None
    paymentMethod: Literal["wallet", "card"] = "wallet"
    timings: Timings = field(default_factory=Timings)
    restarted: bool = False


@dataclass(frozen=True)
class RideResult:
    """Result of the workflow. `bookingId` is empty and `error` has words unless it is confirmed."""

    bookingId: str
    status: str
    error: str = ""
    code: str = ""


def end_words(code: str, detail: str) -> str:
    """Return why a booking does not stand, in the words that clients compare with."""
    known = {"cancelled": CANCELLED_WORDS, "payment_refused": PAYMENT_FAILED_WORDS}
    return known.get(code, detail or code)


@dataclass(frozen=True)
class OpenInput:
    """Find or make the row of a workflow."""

    workflow_id: str
    request: RideRequest
    as_of: datetime


@dataclass(frozen=True)
class BookingInput:
    """Input of steps that need only the booking."""

    booking_id: str


@dataclass(frozen=True)
class CancelInput:
    """Cancel a booking, asked for in the engine."""

    booking_id: str
    reason: str


@dataclass(frozen=True)
class SettleInput:
    """End a booking, with the stop's status, code and words."""

    booking_id: str
    status: str
    code: str
    detail: str


@dataclass(frozen=True)
class AttentionInput:
    """Ask a person about a booking."""

    booking_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class BookingFacts:
    """What the database knows of a booking. `execution`: the state of the card's charge; `wallet`:
    it is paid from a wallet; `attention`: status of its newest review item."""

    booking_id: str
    status: str
    execution: str = EffectState.NEVER
    wallet: bool = True
    cancelled: bool = False
    attention: str = ""
    code: str = ""
    detail: str = ""

    @property
    def settled(self) -> bool:
        """Return whether nothing is left to do or to undo."""
        return BookingStatus(self.status).terminal

    @property
    def reversible(self) -> bool:
        """Return whether a charge may be taken back: always."""
        return True


@dataclass(frozen=True)
class ReversalResult:
    """The outcome of taking a charge back."""

    execution: str


# --- refunds -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RefundRef:
    """Input of the workflow of a refund to a card."""

    refund_id: Annotated[str, Between(1, 36)]
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True)
class RefundInput:
    """Input of steps that need only the refund; `code` and `detail`: why a person is asked."""

    refund_id: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class RefundResult:
    """The status of a refund."""

    status: str


# --- the six activities, as other workflows know them -------------------------------------------
@dataclass(frozen=True)
class ReserveSeatInput:
    """Input of `reserveSeat`."""

    busId: str
    segment: str
    userId: str


@dataclass(frozen=True)
class ReservedSeat:
    """Output of `reserveSeat`."""

    reservationId: str
    seatNumber: int
    expiresAt: datetime


@dataclass(frozen=True)
class ReleaseSeatInput:
    """Input of `releaseSeat`."""

    reservationId: str


@dataclass(frozen=True)
class ChargeMetadata:
    """What a charge is for."""

    reservationId: str = ""


@dataclass(frozen=True)
class PaymentInput:
    """Input of `processPayment`."""

    userId: str
    amount: float
    metadata: ChargeMetadata = field(default_factory=ChargeMetadata)


@dataclass(frozen=True)
class PaymentOutput:
    """Output of `processPayment`. Without success nothing was and nothing will be charged."""

    success: bool
    transactionId: str = ""
    error: str = ""


@dataclass(frozen=True)
class ConfirmInput:
    """Input of `confirmBooking`."""

    reservationId: str
    paymentId: str


@dataclass(frozen=True)
class ConfirmOutput:
    """Output of `confirmBooking`."""

    bookingId: str


@dataclass(frozen=True)
class ManifestInput:
    """Input of `assignToManifest`."""

    busId: str
    bookingId: str
