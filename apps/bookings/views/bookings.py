"""Pages of bookings: who travels where, how far a booking is, and what it cost."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.selectors import requests_about, requests_about_some
from apps.bookings.booking_form import BookingForm
from apps.bookings.contracts import BOOKING, REFUND, BookingStatus, PaymentMethod, Step
from apps.bookings.forms import BookingFilter
from apps.bookings.models import Booking, Refund
from apps.bookings.selectors import ride_of
from apps.bookings.services.cancelling import CANCEL, booking_cancel
from apps.bookings.services.refunds import REQUEST_REFUND, Quote, given_back, refund_quote
from apps.bookings.services.requesting import BOOK, booking_request
from apps.bookings.times import zone_of
from apps.common.dates import zoned_words
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.timeline import timeline
from apps.wallets.services import rider_names
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, FormPage, PageVerb
from apps.web.pieces import Fact, Head, Link, Note, seen_by
from apps.web.refusals import next_step
from apps.web.steps import step_lines
from apps.web.tables import AGE, ERROR, STATE, Column
from apps.web.tones import sentence_of, words_of

FORWARDS = tuple(Step)[:5]
UNDOING = (Step.REVERSE_PAYMENT, Step.RELEASE_SEAT)
#: So many refunds of a booking are shown.
MOST_REFUNDS = 20
VIEW_RIDERS, VIEW_WALLETS = "wallets.view_rider", "wallets.view_wallet"
LIST = Link(_("Bookings"), "booking_list")


def _rows(user: User) -> Any:
    return Booking.objects.visible_to(user).select_related(
        "requested_by", "trip__route", "trip__vehicle", "reservation"
    )


def _with_times(bookings: list[Any]) -> None:
    for booking in bookings:
        trip = booking.trip
        booking.leaves = zoned_words(trip.departs_at, zone_of(trip.route.zone))


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
        Column(
            head=_("Trip departs"),
            value="trip.departs_at",
            form="name",
            part="bookings/_departs.html",
        ),
        Column(head=_("Fare"), value="fare", form="amount"),
        AGE,
        STATE,
        ERROR,
    ),
    filters=BookingFilter,
    complete=_with_times,
    new=Link(_("Book a seat"), "booking_new", BOOK, main=True),
)

FORM_PAGE = FormPage(
    name="booking_new",
    title=_("Book a seat"),
    lead=_("The seat is held while it is paid. Without the money it is free again."),
    crumbs=(LIST,),
    form=BookingForm,
    button=_("Book"),
    initial={"user_id": "rider", "trip_id": "trip", "segment": "stretch", "seat_number": "seat"},
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
    refunds = list(booking.refunds.order_by("n")[:MOST_REFUNDS])
    about = requests_about_some(REFUND, [refund.pk for refund in refunds])
    about |= requests_about(BOOKING, booking.pk)
    return {
        "topics": f"{BOOKING}:{booking.pk} inbox",
        "head": _head(booking, user),
        "facts": [*_facts(booking, user), *_refunds(refunds)],
        "preview": _preview(quote) if quote and may_cancel else "",
        "steps": step_lines(booking.steps.all(), FORWARDS, undoing=UNDOING, over=not runs),
        "requests": about.visible_to(user).order_by("created_at")[:20],
        "unsigned": True,
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
    url = temporal_url_for(user, booking.workflow_id)
    return Head(
        gettext("{rider}, {segment}").format(rider=booking.user_id, segment=booking.segment),
        gettext("asked"),
        at=booking.created_at,
        crumbs=(LIST,),
        state=booking.status,
        links=seen_by(_links(booking, url), user),
        note=_note(booking),
    )


def _note(booking: Booking) -> Note | None:
    """Return why it came to nothing, and what became of the money."""
    if not booking.error_code:
        return None
    if booking.confirmed_at is not None:
        then = gettext("The seat is free again. What goes back to the rider is told below.")
    else:
        then = gettext("The seat is free again. The steps below show what became of the money.")
    if booking.status == BookingStatus.CANCELLED:
        return Note(sentence_of(booking.error_code), booking.error_detail, then, tone="info")
    advice = f"{step} " if (step := next_step(booking.error_code)) else ""
    return Note(sentence_of(booking.error_code), booking.error_detail, advice + then, tone="bad")


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


def _refunds(refunds: list[Refund]) -> list[Fact]:
    """Return its refunds with their state."""
    return [
        Fact(
            gettext("Refund {number}").format(number=refund.n),
            shown(refund.amount, refund.currency),
            href=reverse("refund", args=[refund.pk]),
            note=words_of(refund.status),
        )
        for refund in refunds
    ]


def _facts(booking: Booking, user: User) -> list[Fact]:
    route, (first, last) = booking.trip.route, ride_of(booking)
    zone = zone_of(route.zone)
    seat = getattr(booking, "reservation", None)
    by = {PaymentMethod.WALLET: gettext("wallet"), PaymentMethod.CARD: gettext("card")}
    facts = (
        _rider(booking, user),
        Fact(
            gettext("Trip"),
            route.name,
            href=reverse("trip", args=[booking.trip_id]),
            note=booking.trip.vehicle.code,
        ),
        Fact(gettext("From"), first.name),
        Fact(gettext("Departs"), zoned_words(first.departs_at, zone)),
        Fact(gettext("To"), last.name),
        Fact(gettext("Arrives"), zoned_words(last.arrives_at, zone)),
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


def _rider(booking: Booking, user: User) -> Fact:
    """Return who travels: with the name and a way to the wallet for those who may see them."""
    key = booking.user_id
    name = rider_names([key]).get(key, "") if user.has_perm(VIEW_RIDERS) else ""
    there = bool(name) and user.has_perm(VIEW_WALLETS)
    return Fact(
        gettext("Rider"),
        name or key,
        href=reverse("wallet", args=[key]) if there else "",
        note=key if name else "",
    )


DETAIL_PAGE = DetailPage(
    name="booking",
    rows=_rows,
    context=_context,
    main=("web/_steps.html",),
    # What a rider on the phone asks for comes before what is known.
    side=("bookings/_preview.html", "web/_page_verb.html", "web/_asked.html"),
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
