"""Pages of bookings: who travels where, how far a booking is, and what it cost."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about
from apps.bookings.contracts import BOOKING, BookingStatus, PaymentMethod, Step
from apps.bookings.forms import BookingFilter, BookingForm
from apps.bookings.models import Booking
from apps.bookings.services.cancelling import CANCEL, booking_cancel
from apps.bookings.services.refunds import REQUEST_REFUND, Quote, given_back, refund_quote
from apps.bookings.services.requesting import BOOK, booking_request
from apps.bookings.times import zone_of
from apps.common.dates import zoned_words
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.timeline import timeline
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage, PageVerb
from apps.web.pieces import Fact, Head, Link, Note, seen_by
from apps.web.steps import step_lines
from apps.web.tables import AGE, ERROR, STATE, Column
from apps.web.tones import sentence_of, words_of

FORWARDS = tuple(Step)[:5]
UNDOING = (Step.REVERSE_PAYMENT, Step.RELEASE_SEAT)
#: So many refunds of a booking are shown.
MOST_REFUNDS = 20
LIST = Link(_("Bookings"), "booking_list")


def _rows(user: User) -> Any:
    return Booking.objects.visible_to(user).select_related(
        "requested_by", "trip__route", "trip__vehicle", "reservation"
    )


LIST_PAGE = ListPage(
    name="booking_list",
    title=_("Bookings"),
    lead=_("Seats that riders asked for, from the request to the manifest."),
    noun="booking",
    none=_("No booking yet"),
    topic="bookings",
    rows=_rows,
    to="booking",
    columns=(
        Column(head=_("Rider"), value="user_id", form="title"),
        Column(head=_("Bus"), value="trip.vehicle.code", form="code"),
        Column(head=_("Trip departs"), value="trip.departs_at", form="when", wide=True),
        Column(head=_("Fare"), value="fare", form="amount"),
        AGE,
        STATE,
        ERROR,
    ),
    filters=BookingFilter,
    new=Link(_("Book a seat"), "booking_new", BOOK, main=True),
)

FORM_PAGE = FormPage(
    name="booking_new",
    title=_("Book a seat"),
    lead=_("The seat is held while it is paid. Without the money it is free again."),
    crumbs=(LIST,),
    form=BookingForm,
    verb=booking_request,
    to="booking",
    asked=_("Booked. This page shows how far it is."),
    draft="booking",
    permission=BOOK,
    action=f"{BOOKING}.request",
    subject_type=BOOKING,
)


def _context(request: HttpRequest, booking: Booking) -> dict[str, Any]:
    user = person(request)
    may_cancel = booking.requested_by_id == user.pk or user.has_perm(CANCEL)
    runs = booking.status == BookingStatus.RUNNING
    stands = runs or booking.status == BookingStatus.CONFIRMED
    quote = refund_quote(booking, as_of=timezone.now()) if stands and not runs else None
    return {
        "topics": f"{BOOKING}:{booking.pk} inbox",
        "head": _head(booking, user),
        "facts": [*_facts(booking), *_refunds(booking)],
        "preview": _preview(quote) if quote and may_cancel else "",
        "steps": step_lines(booking.steps.all(), FORWARDS, undoing=UNDOING, over=not runs),
        "requests": requests_about(BOOKING, booking.pk)
        .visible_to(user)
        .order_by("created_at")[:20],
        "timeline": timeline(
            subjects=[(BOOKING, str(booking.pk))],
            workflow_ids=[booking.workflow_id],
            older=request.GET.get("older", ""),
        ),
        "may_call": may_cancel
        and stands
        and booking.cancel_requested_at is None
        and not (quote and quote.departed),
    }


def _head(booking: Booking, user: User) -> Head:
    note = None
    if booking.error_code:
        note = Note(
            sentence_of(booking.error_code),
            booking.error_detail,
            gettext("Nothing stays half done: the steps below show what was undone."),
            tone="bad",
        )
    url = temporal_url_for(user, booking.workflow_id)
    return Head(
        gettext("{rider}, {segment}").format(rider=booking.user_id, segment=booking.segment),
        gettext("asked"),
        at=booking.created_at,
        crumbs=(LIST,),
        state=booking.status,
        links=seen_by(_links(booking, url), user),
        note=note,
    )


def _links(booking: Booking, url: str) -> tuple[Link, ...]:
    outside = (Link(gettext("Temporal UI"), url, outside=True),) if url else ()
    if booking.confirmed_at is None or booking.refunded >= booking.charged:
        return outside
    ask = f"{reverse('refund_new')}?booking={booking.pk}"
    return (*outside, Link(gettext("Refund it"), ask, REQUEST_REFUND))


def _preview(quote: Quote) -> str:
    """Return what goes back if it is cancelled now."""
    if quote.departed:
        return gettext("The trip has left the boarding stop: it cannot be cancelled any more.")
    amount = shown(quote.amount, quote.currency)
    if not quote.amount:
        return gettext("Nothing goes back: it is too late for that. The seat is free at once.")
    if quote.signed:
        said = gettext(
            "{percent} % goes back, {amount}, once somebody has signed it. The seat is free at "
            "once, whatever is decided."
        )
    else:
        said = gettext("{percent} % goes back at once, {amount}. The seat is free at once.")
    return said.format(percent=quote.percent, amount=amount)


def _refunds(booking: Booking) -> list[Fact]:
    """Return its refunds with their state."""
    return [
        Fact(
            gettext("Refund {number}").format(number=refund.n),
            shown(refund.amount, refund.currency),
            href=reverse("refund", args=[refund.pk]),
            note=words_of(refund.status),
        )
        for refund in booking.refunds.order_by("n")[:MOST_REFUNDS]
    ]


def _facts(booking: Booking) -> list[Fact]:
    route = booking.trip.route
    board = booking.trip.stops.get(n=booking.from_n)
    seat = getattr(booking, "reservation", None)
    by = {PaymentMethod.WALLET: gettext("wallet"), PaymentMethod.CARD: gettext("card")}
    facts = (
        Fact(
            gettext("Trip"),
            route.name,
            href=reverse("trip", args=[booking.trip_id]),
            note=booking.trip.vehicle.code,
        ),
        Fact(gettext("Departs"), zoned_words(board.departs_at, zone_of(route.zone))),
        Fact(gettext("Seat"), str(seat.seat_number) if seat else ""),
        Fact(gettext("Fare"), shown(booking.fare, booking.currency)),
        Fact(gettext("Paid by"), by[PaymentMethod(booking.payment_method)]),
        Fact(gettext("Paid"), shown(booking.charged, booking.currency) if booking.charged else ""),
        Fact(
            gettext("Given back"),
            shown(back, booking.currency) if (back := given_back(booking)) else "",
        ),
        Fact(gettext("Receipt"), booking.receipt, form="code"),
        Fact(gettext("Workflow"), booking.workflow_id, form="code"),
    )
    return [fact for fact in facts if fact.value]


DETAIL_PAGE = DetailPage(
    name="booking",
    rows=_rows,
    context=_context,
    main=("web/_steps.html",),
    side=("web/_asked.html", "bookings/_preview.html", "web/_page_verb.html"),
    after=("console/_timeline.html",),
    verb=PageVerb(
        call=booking_cancel,
        row_id="booking_id",
        not_done=_("Not cancelled."),
        said=_("Cancelled. This page shows what goes back."),
        title=_("Cancel the booking"),
        help=_(
            "Before it is confirmed, all that was paid goes back first, then the seat is free. A "
            "confirmed booking is refunded by its rule."
        ),
    ),
)
