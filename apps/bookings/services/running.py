"""The steps of a booking besides its payment: the seat, the confirmation, the manifest."""

from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext

from apps.bookings.contracts import BOOKING, BookingStatus, Held, Step, TripStatus
from apps.bookings.models import Booking, ManifestLine, Trip
from apps.bookings.services.mails import mail_confirmed
from apps.bookings.services.payment import wallet_payment
from apps.bookings.services.rows import (
    StepStatus,
    booking_step,
    check_goes_on,
    is_by_wallet,
    movement,
    payment_key,
    payment_of,
    record,
    step_group_run,
    step_save,
    step_statuses,
)
from apps.bookings.services.seats import seat_confirm, seat_hold
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.engine.contracts import EffectState
from apps.wallets.services import card_charged


def seat_reserve(*, booking_id: UUID | str, as_of: datetime) -> Held:
    """Hold a seat for the booking; again returns the same one.

    Raises Conflict `cancelled`, `already_settled`, `trip_closed`, `no_seat`, `seat_taken`,
    `reservation_expired`.
    """
    with booking_step(
        booking_id, step=Step.RESERVE_SEAT, action=f"{BOOKING}.reserve_seat"
    ) as booking:
        check_goes_on(booking)
        held = seat_hold(booking=booking, seat_number=booking.wanted_seat, as_of=as_of)
        if step_statuses(booking).get(Step.RESERVE_SEAT) != StepStatus.DONE:
            number = gettext("seat {number}").format(number=held.seat_number)
            step_save(booking, Step.RESERVE_SEAT, StepStatus.DONE, number)
    return held


def booking_confirm(*, booking_id: UUID | str, as_of: datetime) -> None:
    """Sell the seat of a paid booking; once.

    Raises Conflict `cancelled`, `already_settled`, `not_paid`, `reservation_expired`.
    """
    with booking_step(
        booking_id, step=Step.CONFIRM_BOOKING, action=f"{BOOKING}.confirm"
    ) as booking:
        if booking.status == BookingStatus.CONFIRMED:
            return
        check_goes_on(booking)
        _check_paid(booking)
        seat_confirm(booking=booking)
        fields = ("status", "confirmed_at", "charged")
        booking.status, booking.confirmed_at = BookingStatus.CONFIRMED, as_of
        booking.charged = booking.fare
        step_save(booking, Step.CONFIRM_BOOKING, StepStatus.DONE, fields=fields)
        if not is_by_wallet(booking):
            key = payment_key(booking)
            card_charged(**movement(booking, booking.fare, key=key, as_of=as_of))
        paid = exact(booking.fare, booking.currency)
        record(booking, f"{BOOKING}.confirmed", charged=paid, currency=booking.currency)


def confirmation_queue(*, booking_id: UUID | str) -> None:
    """Queue the rider's confirmation, once. Raises Conflict `not_confirmed`."""
    with booking_step(
        booking_id, step=Step.SEND_CONFIRMATION, action=f"{BOOKING}.mail", related=("trip__route",)
    ) as booking:
        if step_statuses(booking).get(Step.SEND_CONFIRMATION) == StepStatus.DONE:
            return
        _check_confirmed(booking)
        step_save(booking, Step.SEND_CONFIRMATION, StepStatus.DONE, mail_confirmed(booking))


def manifest_add(*, booking_id: UUID | str) -> None:
    """Write the booking on its trip's manifest, once.

    Raises Conflict `not_confirmed`, `trip_closed` once the trip takes nobody any more.
    """
    with booking_step(
        booking_id, step=Step.ASSIGN_TO_MANIFEST, action=f"{BOOKING}.manifest"
    ) as booking:
        if step_statuses(booking).get(Step.ASSIGN_TO_MANIFEST) == StepStatus.DONE:
            return
        _check_confirmed(booking)
        # The lock orders this with the hand-over of the manifest.
        trip = Trip.objects.select_for_update(no_key=True).get(pk=booking.trip_id)
        if trip.status not in (TripStatus.OPEN, TripStatus.CLOSED):
            raise Conflict(_("The trip takes nobody any more."), code="trip_closed")
        line = ManifestLine(
            booking=booking,
            trip=trip,
            seat_number=booking.reservation.seat_number,
            from_n=booking.from_n,
            to_n=booking.to_n,
        )
        ManifestLine.objects.bulk_create([line], ignore_conflicts=True)
        step_save(booking, Step.ASSIGN_TO_MANIFEST, StepStatus.DONE)


def booking_complete(*, booking_id: UUID | str, wallet: bool, as_of: datetime) -> None:
    """Run all steps of a booking from a wallet, or those after a card's charge, in one transaction.
    Raises what they raise.

    The trip's lock then lasts until the commit: bookings of one trip wait for each other a little
    longer, and each takes a transaction and a step of the engine less.
    """

    def steps() -> None:
        if wallet:
            seat_reserve(booking_id=booking_id, as_of=as_of)
            wallet_payment(booking_id=booking_id, as_of=as_of)
        booking_confirm(booking_id=booking_id, as_of=as_of)
        confirmation_queue(booking_id=booking_id)
        manifest_add(booking_id=booking_id)

    step_group_run(booking_id, steps, related=("trip__route",))


def _check_paid(booking: Booking) -> None:
    statuses = step_statuses(booking)
    if is_by_wallet(booking):
        paid = statuses.get(Step.PROCESS_PAYMENT) == StepStatus.DONE
    else:
        paid = payment_of(statuses) is EffectState.DONE
    if not paid:
        raise Conflict(_("The booking is not paid."), code="not_paid")


def _check_confirmed(booking: Booking) -> None:
    if booking.status != BookingStatus.CONFIRMED:
        raise Conflict(_("The booking is not confirmed."), code="not_confirmed")
