"""What the services of bookings share: the process, the locked row, and its steps."""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db.models import Exists

from apps.approvals.selectors import requests_about, requests_by_row
from apps.bookings.contracts import (
    ATTENTION_KIND,
    BOOK_WORKFLOW,
    BOOKING,
    TASK_QUEUE,
    BookingFacts,
    BookingStatus,
    PaymentMethod,
    RideRequest,
    Step,
)
from apps.bookings.models import Booking
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.engine import effects, process, steps
from apps.engine.process import Carrier, Process
from apps.engine.services import timings

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Relations that most services need.
RELATED = ("trip",)


def _ref(booking: Booking, again: bool) -> RideRequest:
    return RideRequest(
        userId=booking.user_id,
        busId=booking.trip.vehicle.code,
        segment=booking.segment,
        fare=exact(booking.fare, booking.currency),
        tripId=str(booking.trip_id),
        seatNumber=booking.wanted_seat,
        paymentMethod=PaymentMethod(booking.payment_method).value,
        timings=timings(),
        restarted=again,
    )


def _open_rows() -> "QuerySet[Booking]":
    """Return bookings under way that no person is asked about."""
    questions = requests_by_row(BOOKING, kind=ATTENTION_KIND).filter(settled_at=None)
    return Booking.objects.filter(status=BookingStatus.RUNNING).filter(~Exists(questions))


CARRIER: Carrier[Booking] = Carrier(BOOK_WORKFLOW, _ref, process.SAGA_BACKSTOP)

PROCESS = Process(
    subject=BOOKING,
    title=_("Booking"),
    noun="booking",
    missing=_("There is no such booking."),
    opens=_("Open the booking"),
    model=Booking,
    queue=TASK_QUEUE,
    url_name="booking",
    carriers=(CARRIER,),
    needs=lambda booking: CARRIER if booking.status == BookingStatus.RUNNING else None,
    open_rows=_open_rows,
    # Clients know the booking by the id of its workflow.
    own_id=True,
    keeps_id=lambda booking: True,
    list_topics=("bookings",),
    shared_topics=("home",),
)

booking_lock = partial(process.locked, PROCESS)
record = partial(process.record, PROCESS)
row_save = partial(steps.save, PROCESS)
StepStatus = steps.Status
step_put = steps.step_put
step_save = partial(steps.step_save, PROCESS)
step_statuses = steps.statuses_of
booking_step = partial(steps.saga_step, PROCESS)
step_group_run = partial(steps.run_together, PROCESS)
payment_of = partial(effects.state_of, step=Step.PROCESS_PAYMENT)


def is_by_wallet(booking: Booking) -> bool:
    """Return whether the booking is paid from the rider's wallet."""
    return booking.payment_method == PaymentMethod.WALLET


def payment_key(booking: Booking) -> str:
    """Return the key of the booking's only payment in the ledger."""
    return f"{BOOKING}:{booking.pk}:pay"


def movement(booking: Booking, amount: Decimal, *, key: str, as_of: datetime) -> dict[str, Any]:
    """Return what every movement of the booking's money in the ledger names, once per `key`."""
    return {
        "amount": amount,
        "currency": booking.currency,
        "key": key,
        "subject_type": BOOKING,
        "subject_id": booking.pk,
        "as_of": as_of,
    }


def check_goes_on(booking: Booking) -> None:
    """Raise Conflict `cancelled` once somebody has cancelled, `already_settled` for a booking that
    failed, `being_undone` once its charge is taken back."""
    if booking.cancel_requested_at or booking.status == BookingStatus.CANCELLED:
        raise Conflict(_("The booking was cancelled."), code="cancelled")
    process.check_unsettled(PROCESS, booking)
    effects.check_forwards(PROCESS, step_statuses(booking), reversal=Step.REVERSE_PAYMENT)


def facts_of(booking: Booking) -> BookingFacts:
    """Return what the workflow needs to know of the row."""
    wallet = is_by_wallet(booking)
    newest = requests_about(BOOKING, booking.pk, kind=ATTENTION_KIND).first()
    return BookingFacts(
        booking_id=str(booking.pk),
        status=booking.status,
        execution="never" if wallet else payment_of(step_statuses(booking)),
        wallet=wallet,
        cancelled=booking.cancel_requested_at is not None,
        attention=newest.status if newest else "",
        code=booking.error_code,
        detail=booking.error_detail,
    )
