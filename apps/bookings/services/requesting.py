"""The request for a booking, by a program, on a page, or by hand in the engine."""

import re
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.audit.contracts import ENGINE
from apps.bookings.contracts import (
    BOOKING,
    USER_ID,
    BookingFacts,
    PaymentMethod,
    RideRequest,
)
from apps.bookings.models import Booking
from apps.bookings.services.rows import PROCESS, facts_of, record
from apps.bookings.services.trips import find_trip
from apps.common.canonical_json import digest
from apps.common.errors import Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.identifiers import new_id
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.common.validation import clean_amount, clean_workflow_id
from apps.engine import process

BOOK = "bookings.book"
#: So many bookings of one rider within a millisecond get ids of their own.
MOST_AT_ONCE = 50
_USER_ID = re.compile(USER_ID, re.ASCII)


def booking_request(
    *,
    user_id: str,
    bus_id: str,
    segment: str,
    fare: Decimal | None = None,
    trip_id: UUID | str | None = None,
    seat_number: int | None = None,
    payment_method: str = PaymentMethod.WALLET,
    by: User,
    via: str,
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[Booking, bool]:
    """Ask for a seat for the rider; return the booking, and whether it is new.

    Row, audit entry and the start of its workflow commit together. Repeating the key by the same
    person returns the same row. Raises, each audited: NotAllowed `permission_denied`; Invalid
    `user_id_invalid`, `payment_method_invalid`, `seat_invalid`, `amount_invalid`,
    `segment_invalid`, `idempotency_key_invalid`; NotFound `vehicle_not_found`, `trip_not_found`;
    Conflict `no_open_trip`, `sales_closed`, `fare_differs`, `idempotency_key_reused`.
    """
    with process.audited(PROCESS, "request", by=by, via=via):
        if not by.has_perm(BOOK):
            raise NotAllowed(_("You may not book."), code="permission_denied")
        body = _body(user_id, bus_id, segment, fare, trip_id, seat_number, payment_method)

        def made(booking: Booking) -> None:
            record(booking, f"{BOOKING}.requested", by=by, via=via, **body)
            failpoint("booking_request.uncommitted")

        def asked(later: int) -> tuple[Booking, bool]:
            def columns() -> dict[str, Any]:
                return _columns(body, as_of) | {"workflow_id": _workflow_id(user_id, as_of, later)}

            return process.ask_once(
                PROCESS,
                columns,
                made=made,
                by=by,
                key=idempotency_key,
                digest=digest(body),
                related=("trip__vehicle", "requested_by"),
                as_of=as_of,
            )

        for later in range(MOST_AT_ONCE):
            try:
                return asked(later)
            except IntegrityError as error:
                # Another booking of this rider has the id of this millisecond.
                if "workflow_id" not in str(error) or later + 1 == MOST_AT_ONCE:
                    raise
        raise AssertionError("unreachable")


def booking_open(*, workflow_id: str, request: RideRequest, as_of: datetime) -> BookingFacts:
    """Return the workflow's booking; one that was started by hand gets its row now. The row wins
    over the request.

    Raises as `booking_request`, but for the permission: whoever starts workflows may; and Invalid
    `workflow_id_invalid`.
    """
    with process.audited(PROCESS, "request", by=ENGINE, via="engine"), transaction.atomic():
        known = Booking.objects.filter(workflow_id=workflow_id).select_related("trip").first()
        if known is not None:
            return facts_of(known)
        clean_workflow_id(workflow_id)
        body = _body(
            request.userId,
            request.busId,
            request.segment,
            _fare(request.fare),
            request.tripId or None,
            request.seatNumber,
            request.paymentMethod,
        )
        booking = Booking(
            **_columns(body, as_of),
            id=new_id(),
            workflow_id=workflow_id,
            request_digest=digest(body),
            created_at=as_of,
        )
        # Two attempts at once: the second waits here and then reads the row of the first.
        try:
            with transaction.atomic():
                booking.save(force_insert=True)
        except IntegrityError:
            return facts_of(Booking.objects.get(workflow_id=workflow_id))
        record(booking, f"{BOOKING}.requested", **body)
        process.tell(PROCESS, booking, "status")
        return facts_of(booking)


# --- helpers --------------------------------------------------------------------------------------
def _body(
    user_id: str,
    bus_id: str,
    segment: str,
    fare: Decimal | None,
    trip_id: UUID | str | None,
    seat_number: int | None,
    payment_method: str,
) -> dict[str, Any]:
    """Return what is asked for, checked, as it is kept and compared. Without what was left out, so
    that the digest does not change when there are more choices."""
    if not isinstance(user_id, str) or not _USER_ID.fullmatch(user_id):
        raise Invalid(
            _("A rider's id has 1 to 80 letters, digits and . _ @ -"), code="user_id_invalid"
        )
    if payment_method not in list(PaymentMethod):
        raise Invalid(_("Pay from the wallet or by card."), code="payment_method_invalid")
    if seat_number is not None and not 1 <= seat_number <= 10_000:
        raise Invalid(_("There is no such seat."), code="seat_invalid")
    body = {"user_id": user_id, "bus_id": bus_id, "segment": segment, "method": payment_method}
    if fare is not None:
        body["fare"] = str(clean_amount(fare).normalize())
    if trip_id is not None:
        body["trip_id"] = str(trip_id)
    if seat_number is not None:
        body["seat"] = str(seat_number)
    return body


def _columns(body: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    found = find_trip(
        bus_id=body["bus_id"],
        segment=body["segment"],
        trip_id=body.get("trip_id"),
        fare=Decimal(body["fare"]) if "fare" in body else None,
        as_of=as_of,
    )
    return {
        "user_id": body["user_id"],
        "trip": found.trip,
        "from_n": found.from_n,
        "to_n": found.to_n,
        "fare": Decimal(exact(found.fare, found.currency)),
        "currency": found.currency,
        "payment_method": body["method"],
        "wanted_seat": int(body["seat"]) if "seat" in body else None,
    }


def _workflow_id(user_id: str, as_of: datetime, later: int) -> str:
    milliseconds = (as_of + timedelta(milliseconds=later)).timestamp() * 1000
    return f"{BOOKING}-{user_id}-{int(milliseconds)}"


def _fare(fare: float | str | None) -> Decimal | None:
    """Return the fare of a start by hand as the amount that was typed."""
    if fare is None:
        return None
    try:
        return Decimal(str(fare))
    except InvalidOperation:
        raise Invalid(_("The fare is no amount."), code="amount_invalid") from None
