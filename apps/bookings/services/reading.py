"""What is read of bookings, by workflows and by programs that ask for their state."""

from dataclasses import dataclass
from uuid import UUID

from apps.bookings.contracts import (
    BookingFacts,
    BookingStatus,
    Step,
    end_words,
)
from apps.bookings.models import Booking
from apps.bookings.services.rows import (
    PROCESS,
    StepStatus,
    facts_of,
    is_by_wallet,
    step_statuses,
)
from apps.engine import process


@dataclass(frozen=True)
class Answer:
    """The state of a booking for programs: while it runs `step`, else the workflow's result."""

    status: str
    step: str = ""
    booking_id: str = ""
    error: str = ""
    code: str = ""


def booking_facts(*, booking_id: UUID | str) -> BookingFacts:
    """Return what the database knows of the booking now. Raises NotFound."""
    return facts_of(_found(pk=process.id_of(PROCESS, booking_id)))


def booking_of_workflow(workflow_id: str) -> str:
    """Return the id of the workflow's booking. Raises NotFound."""
    return str(_found(workflow_id=workflow_id).pk)


def paid_by_wallet(booking_id: UUID | str) -> bool:
    """Return whether the booking is paid from the rider's wallet. Raises NotFound."""
    return is_by_wallet(_found(pk=process.id_of(PROCESS, booking_id)))


def receipt_of(booking_id: UUID | str) -> str:
    """Return the receipt of the payment; empty before it. Raises NotFound."""
    return _found(pk=process.id_of(PROCESS, booking_id)).receipt


def answer_of(booking: Booking) -> Answer:
    """Return the booking's state as the API and the workflow's result say it."""
    match BookingStatus(booking.status):
        case BookingStatus.RUNNING:
            return Answer("RUNNING", step=_step_of(booking))
        case BookingStatus.CONFIRMED:
            return Answer("CONFIRMED", booking_id=str(booking.pk))
    code = booking.error_code
    return Answer("FAILED", error=end_words(code, booking.error_detail), code=code)


def _step_of(booking: Booking) -> str:
    """Return the first step that is not done."""
    done = {name for name, status in step_statuses(booking).items() if status == StepStatus.DONE}
    forwards = (Step.RESERVE_SEAT, Step.PROCESS_PAYMENT, Step.CONFIRM_BOOKING)
    return next((step for step in forwards if step not in done), Step.CONFIRM_BOOKING)


def _found(**by: object) -> Booking:
    booking = Booking.objects.filter(**by).first()
    if booking is None:
        raise process.unknown(PROCESS)
    return booking
