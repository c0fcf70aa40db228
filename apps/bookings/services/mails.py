"""What riders are told by e-mail. Each joins the caller's transaction."""

from django.utils.formats import date_format
from django.utils.translation import gettext

from apps.audit.contracts import ENGINE
from apps.bookings.contracts import BOOKING
from apps.bookings.models import Booking
from apps.bookings.times import zone_of
from apps.common.errors import Invalid
from apps.common.money import shown
from apps.notifications.services import mail_queue
from apps.wallets.services import rider_known


def mail_confirmed(booking: Booking) -> str:
    """Queue the confirmation, once; return to whom, in words, or that there is no address."""
    stops = booking.trip.stops.select_related("stop").filter(n__in=(booking.from_n, booking.to_n))
    board, leave = stops.order_by("n")
    departs = board.departs_at.astimezone(zone_of(booking.trip.route.zone))
    text = gettext(
        "Your seat is booked.\n\n"
        "From: {board}\nTo: {leave}\nDeparture: {departs}\nSeat: {seat}\nFare: {fare}\n"
        "Booking: {booking}"
    ).format(
        board=board.stop.name,
        leave=leave.stop.name,
        departs=date_format(departs, "DATETIME_FORMAT"),
        seat=booking.reservation.seat_number,
        fare=shown(booking.fare, booking.currency),
        booking=booking.workflow_id,
    )
    return _queue(booking, "confirmed", gettext("Your booking is confirmed"), text)


def mail_cancelled(booking: Booking) -> str:
    """As `mail_confirmed`, for the end of a booking that was confirmed before."""
    text = gettext("Your booking {booking} does not stand any more. {why}").format(
        booking=booking.workflow_id, why=booking.error_detail
    )
    return _queue(booking, "cancelled", gettext("Your booking is cancelled"), text)


def _queue(booking: Booking, event: str, title: str, text: str) -> str:
    rider = rider_known(booking.user_id)
    if rider is None or not rider.email:
        return gettext("no address is known")
    try:
        mail_queue(
            key=f"{BOOKING}:{booking.pk}:{event}",
            address=rider.email,
            name=rider.name,
            title=title,
            text=text,
            by=ENGINE,
            subject_type=BOOKING,
            subject_id=booking.pk,
        )
    except Invalid:
        return gettext("the address is none that mail can be sent to")
    return rider.email
