"""Pages of trips: when they stop where, and what each seat is on each leg."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.bookings.contracts import TRIP, SeatUse, TripStatus
from apps.bookings.contracts.trips import CancellationStatus
from apps.bookings.forms import TripFilter
from apps.bookings.models import Trip, TripCancellation
from apps.bookings.selectors import SeatMap, seat_map, seats_taken
from apps.bookings.services.cancellations import RUN_TRIP, trip_cancel
from apps.bookings.services.requesting import BOOK
from apps.bookings.services.trips import CHANGEABLE
from apps.bookings.times import zone_of
from apps.bookings.views.drawing import Leg, drawing_of, stretches
from apps.bookings.views.stops import plain_table, stop_times
from apps.common.dates import day_words, zoned_words
from apps.common.language import lazy as _
from apps.web.fragments import person
from apps.web.lists import ListPage
from apps.web.pages import DetailPage, PageVerb
from apps.web.pieces import Fact, Head, Link, Note, seen_by
from apps.web.tables import Column, Table
from apps.web.verbs import RequiredReasonForm

VIEW_TRIPS = "bookings.view_trip"
VIEW_MANIFEST = "bookings.view_manifest"


def _rows(user: Any) -> Any:
    return Trip.objects.select_related("route", "vehicle")


def _with_seats(trips: list[Any]) -> None:
    taken = seats_taken(trips, as_of=timezone.now())
    for trip in trips:
        trip.leaves = zoned_words(trip.departs_at, zone_of(trip.route.zone))
        trip.taken = gettext("{taken} of {seats}").format(
            taken=taken[trip.pk][0], seats=taken[trip.pk][1]
        )


LIST_PAGE = ListPage(
    name="trips",
    title=_("Trips"),
    lead=_("Seats are sold by stretch: one seat from A to B, and again from B to C."),
    noun="trip",
    none=_("No trip"),
    empty=_("An administrator opens trips. Trips that are over are found by their status."),
    topic="trips",
    rows=_rows,
    to="trip",
    order="departs",
    columns=(
        Column(head=_("Trip"), value="route.name", form="title", file="name"),
        Column(head=_("Bus"), value="vehicle.code", form="code"),
        Column(
            head=_("Departs"),
            value="departs_at",
            form="name",
            part="bookings/_departs.html",
            sort=("departs", "departs_last"),
            file="departs_at",
        ),
        Column(head=_("Service day"), value="service_date", text=_("service day {}"), wide=True),
        Column(
            head=_("Seats taken"),
            value="taken",
            text=_("seats taken: {}"),
            file="seats_taken",
        ),
        Column(head=_("State"), value="state", form="state"),
    ),
    arrivals=False,
    filters=TripFilter,
    complete=_with_seats,
    permission=VIEW_TRIPS,
    links=(Link(_("Open a trip"), "admin:bookings_trip_open", "bookings.add_trip"),),
)


def _context(request: HttpRequest, trip: Trip) -> dict[str, Any]:
    seats = seat_map(trip.pk, as_of=timezone.now())
    drawing = drawing_of(seats, request.GET.get("leg", ""))
    books = trip.status == TripStatus.OPEN and person(request).has_perm(BOOK)
    leg = drawing.leg if drawing and books else None
    links = (
        *([Link(gettext("Book a seat"), _to_book(trip, leg), main=True)] if leg else []),
        Link(gettext("Manifest"), reverse("manifest", args=[trip.pk]), VIEW_MANIFEST),
        Link(gettext("In the admin"), _in_admin(trip), "bookings.change_trip"),
    )
    known = trip.cancellations.order_by("-created_at").first()
    may = person(request).has_perm(RUN_TRIP) and trip.status in CHANGEABLE
    return {
        "topics": f"{TRIP}:{trip.pk}",
        "head": Head(
            trip.route.name,
            gettext("{bus} · {day}").format(
                bus=trip.vehicle.name, day=day_words(trip.service_date)
            ),
            crumbs=(Link(gettext("Trips"), "trips"),),
            state=trip.state,
            links=seen_by(links, person(request)),
            note=_cancelling(known) if known else None,
        ),
        "may_call": may and (known is None or known.status == CancellationStatus.REJECTED),
        "drawing": drawing,
        "address": reverse("trip", args=[trip.pk]),
        "seats": _seats(request, trip, seats, leg),
        "times": _times(request, trip, seats),
        "zone": trip.route.zone,
        "facts_title": gettext("Trip"),
        "facts": [
            Fact(gettext("Bus"), trip.vehicle.code, form="code"),
            Fact(gettext("Route"), trip.route.code, form="code"),
            Fact(gettext("Service day"), day_words(trip.service_date)),
            Fact(gettext("Currency"), trip.route.currency),
        ],
    }


def _cancelling(cancellation: TripCancellation) -> Note | None:
    if cancellation.status == CancellationStatus.REJECTED:
        return None
    return Note(
        gettext("This trip is being cancelled.")
        if cancellation.status == CancellationStatus.AWAITING_APPROVAL
        else gettext("This trip is cancelled."),
        cancellation.reason,
        gettext("No seat is sold any more. Once it is signed, all that was paid goes back."),
        tone="warn",
    )


def _in_admin(trip: Trip) -> str:
    return reverse("admin:bookings_trip_change", args=[trip.pk])


def _to_book(trip: Trip, leg: Leg, seat: int | None = None) -> str:
    """Return where a seat on the leg is booked, that seat if it is named."""
    asked = {"trip": trip.pk, "stretch": f"{leg.first}-{leg.last}"} | (
        {"seat": seat} if seat else {}
    )
    return f"{reverse('booking_new')}?{urlencode(asked)}"


def _times(request: HttpRequest, trip: Trip, seats: SeatMap) -> Table:
    """Return when the trip is at its stops: in the route's zone, which its timetable has."""
    return plain_table(
        request,
        seats.stops,
        (
            Column(head=_("Stop"), value="name", form="title"),
            *stop_times(zone_of(trip.route.zone), len(seats.stops)),
        ),
        id="trip-times",
        caption=gettext("Times of the stops"),
        version=lambda stop: trip.version,
    )


def _seats(request: HttpRequest, trip: Trip, seats: SeatMap, leg: Leg | None) -> Table:
    """Return what each seat is on each leg, as stretches. With a leg, those that are free there can
    be booked."""
    codes = [stop.stop.code for stop in seats.stops]

    def where(use: SeatUse) -> Any:
        return partial(stretches, use=use, codes=codes)

    def number(seat: Any) -> str:
        return gettext("Seat {number}").format(number=seat.number)

    def book(seat: Any) -> str:
        free = leg is not None and seat.over(leg.n, leg.n + 1) is SeatUse.FREE
        return _to_book(trip, leg, seat.number) if leg and free else ""

    booked = Column(head=_("Book"), value=book, form="act", part="bookings/_seat_book.html")
    return plain_table(
        request,
        seats.seats,
        (
            Column(head=_("Seat"), value=number, form="title"),
            Column(head=_("Free"), value=where(SeatUse.FREE), text=_("free {}")),
            Column(head=_("Held"), value=where(SeatUse.HELD), text=_("held {}")),
            Column(head=_("Sold"), value=where(SeatUse.SOLD), text=_("sold {}")),
            Column(head=_("Blocked"), value=where(SeatUse.BLOCKED), text=_("blocked {}")),
            *([booked] if leg else []),
        ),
        id="trip-seats",
        caption=gettext("What each seat is on each leg"),
        by="key",
        version=lambda seat: "".join(use[0] for use in seat.legs) + (f"-{leg.n}" if leg else ""),
    )


DETAIL_PAGE = DetailPage(
    name="trip",
    rows=_rows,
    context=_context,
    permission=VIEW_TRIPS,
    main=("bookings/_times.html", "bookings/_seat_map.html"),
    side=("web/_facts_panel.html", "web/_page_verb.html"),
    # A line for each seat: below what is done with the trip.
    after=("bookings/_seats.html",),
    verb=PageVerb(
        call=trip_cancel,
        row_id="trip_id",
        not_done=_("Not asked for."),
        said=_("Asked. The sale has stopped; the trip is cancelled once somebody has signed it."),
        title=_("Cancel the trip"),
        help=_(
            "Somebody else signs it. Then every booking is refunded in full, and its rider is told."
        ),
        form=RequiredReasonForm,
    ),
    template="bookings/trip.html",
    # Nobody announces a hold that has ended.
    poll_seconds=60,
)
