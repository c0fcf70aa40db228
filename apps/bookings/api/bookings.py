"""API of bookings. Mounted at /api/v1/bookings."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Header, Router, Schema, Status
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.bookings.contracts import USER_ID, PaymentMethod, RefundStatus
from apps.bookings.forms import BookingFilter
from apps.bookings.models import Booking, Refund
from apps.bookings.scopes import Scope
from apps.bookings.services import cancelling, refunds, requesting
from apps.bookings.services.reading import answer_of
from apps.bookings.services.refunds import given_back
from apps.common.api import Amount, Cursor, Limit, ReasonIn, why
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.pagination import page
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["bookings"])

#: So many refunds of a booking are listed.
MOST_REFUNDS = 100

WorkflowId = Annotated[str, Field(max_length=200)]
#: The header by which a repeated request is known.
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=120)]


class BookingIn(Schema):
    """`fare` is in major units of the trip's currency, and must be the tariff's; left out, it is
    the tariff's. `segment` is the first and the last stop: `A-B`."""

    model_config = ConfigDict(extra="forbid")

    userId: str = Field(pattern=f"^{USER_ID}$")
    busId: str = Field(min_length=1, max_length=60)
    segment: str = Field(min_length=3, max_length=41)
    fare: Amount | None = None
    tripId: UUID | None = None
    seatNumber: int | None = Field(None, ge=1, le=10_000)
    paymentMethod: PaymentMethod = PaymentMethod.WALLET


class BookingStarted(Schema):
    workflowId: str
    message: str


class RefundOut(Schema):
    """A refund of a booking, in major units of its currency. `n` counts from 1."""

    id: UUID
    n: int
    amount: str
    status: RefundStatus


class BookingState(Schema):
    """What is kept for the booking. `refund`: how much has gone back, in major units; `refunds`:
    also those that wait for a signature or are being sent, of a booking that was confirmed."""

    state: str
    tripId: UUID
    seatNumber: int | None
    refund: str
    refunds: list[RefundOut]


class RefundIn(Schema):
    """`amount` is in major units of the booking's currency, and at most what is left of the
    charge."""

    model_config = ConfigDict(extra="forbid")

    amount: Amount
    reason: str = Field(min_length=1, max_length=2000)


class BookingStatusOut(Schema):
    """`RUNNING` with its `step`; then `CONFIRMED` with its `bookingId`, or `FAILED` with `error`
    and `code`, also when it was cancelled after it was confirmed."""

    status: str
    step: str | None = None
    bookingId: str | None = None
    error: str | None = None
    code: str | None = None
    booking: BookingState


class BookingRow(Schema):
    """A booking in a list."""

    bookingId: UUID
    workflowId: str
    userId: str
    tripId: UUID
    state: str
    fare: str
    currency: str
    paymentMethod: PaymentMethod
    createdAt: datetime


class BookingPage(Schema):
    items: list[BookingRow]
    next: str | None


class Message(Schema):
    message: str


@router.post("", response={200: BookingStarted, 201: BookingStarted})
def booking_create(
    request: HttpRequest, body: BookingIn, idempotency_key: IdempotencyKey = ""
) -> Status[dict[str, str]]:
    """Book a seat. The same `Idempotency-Key` and body again: the same booking, with 200."""
    user = require(request, scope=Scope.BOOKINGS_WRITE)
    booking, created = requesting.booking_request(
        user_id=body.userId,
        bus_id=body.busId,
        segment=body.segment,
        fare=body.fare,
        trip_id=body.tripId,
        seat_number=body.seatNumber,
        payment_method=body.paymentMethod,
        by=user,
        via="api",
        idempotency_key=idempotency_key,
        as_of=timezone.now(),
    )
    started = {"workflowId": booking.workflow_id, "message": "Booking workflow started"}
    return Status(201 if created else 200, started)


@router.get("", response=BookingPage)
@filtered(BookingFilter)
def booking_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List bookings that the caller may see, newest first. `userId`: of that rider; `tripId`: on
    that trip."""
    user = require(request, scope=Scope.BOOKINGS_READ)
    rows = narrow(Booking.objects.visible_to(user).for_list(), user=user)
    found = page(rows, cursor=cursor, limit=limit)
    found["items"] = [_row(booking) for booking in found["items"]]
    return found


@router.get("/{workflow_id}/status", response=BookingStatusOut, exclude_none=True)
def booking_status(request: HttpRequest, workflow_id: WorkflowId) -> dict[str, Any]:
    """Return how far the booking is; never waits."""
    user = require(request, scope=Scope.BOOKINGS_READ)
    booking = _booking(user, workflow_id)
    answer, seat = answer_of(booking), getattr(booking, "reservation", None)
    return {
        "status": answer.status,
        "step": answer.step or None,
        "bookingId": answer.booking_id or ("" if answer.code else None),
        "error": answer.error or None,
        "code": answer.code or None,
        "booking": {
            "state": booking.status,
            "tripId": booking.trip_id,
            "seatNumber": seat.seat_number if seat else None,
            "refund": exact(given_back(booking), booking.currency),
            "refunds": [_refund(one) for one in booking.refunds.order_by("n")[:MOST_REFUNDS]],
        },
    }


@router.post("/{workflow_id}/cancel", response=Message)
def booking_cancel(
    request: HttpRequest, workflow_id: WorkflowId, body: ReasonIn | None = None
) -> dict[str, str]:
    """Cancel the booking; again, the answer is the same. A confirmed one is refunded by its rule.
    Refusals: 409 `already_settled`, `departed`."""
    user = require(request, scope=Scope.BOOKINGS_WRITE)
    booking = _booking(user, workflow_id)
    cancelling.booking_cancel(
        booking_id=booking.pk, by=user, via="api", reason=why(body), as_of=timezone.now()
    )
    return {"message": "Booking cancelled"}


@router.post("/{workflow_id}/refunds", response={200: RefundOut, 201: RefundOut})
def refund_create(
    request: HttpRequest,
    workflow_id: WorkflowId,
    body: RefundIn,
    idempotency_key: IdempotencyKey = "",
) -> Status[dict[str, Any]]:
    """Ask for a refund of a booking that was confirmed; it is always signed. The same
    `Idempotency-Key` and body again: the same refund, with 200. Refusals: 409
    `refund_exceeds_charge`, `not_confirmed`, `idempotency_key_reused`."""
    user = require(request, scope=Scope.BOOKINGS_WRITE)
    refund, created = refunds.refund_request(
        booking_id=_booking(user, workflow_id).pk,
        amount=body.amount,
        reason=body.reason,
        by=user,
        via="api",
        idempotency_key=idempotency_key,
        as_of=timezone.now(),
    )
    return Status(201 if created else 200, _refund(refund))


# --- helpers -------------------------------------------------------------------------------------
def _booking(user: User, workflow_id: str) -> Booking:
    rows = Booking.objects.visible_to(user).select_related("reservation")
    missing = NotFound(_("There is no such booking."))
    found: Booking = row_of(rows, missing, workflow_id=workflow_id)
    return found


def _refund(refund: Refund) -> dict[str, Any]:
    amount = exact(refund.amount, refund.currency)
    return {"id": refund.pk, "n": refund.n, "amount": amount, "status": refund.status}


def _row(booking: Booking) -> dict[str, Any]:
    return {
        "bookingId": booking.pk,
        "workflowId": booking.workflow_id,
        "userId": booking.user_id,
        "tripId": booking.trip_id,
        "state": booking.status,
        "fare": exact(booking.fare, booking.currency),
        "currency": booking.currency,
        "paymentMethod": booking.payment_method,
        "createdAt": booking.created_at,
    }
