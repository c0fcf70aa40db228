"""Registers trips and bookings with the shared parts of the site."""

from django.urls import reverse

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.bookings.contracts import ON_SALE, ROUTE, STOP, TRIP, VEHICLE, TripStatus
from apps.bookings.models import Trip
from apps.bookings.scopes import Scope
from apps.common.dates import day_words
from apps.common.language import lazy as _
from apps.common.validation import CODE
from apps.engine import timeline
from apps.live import topics
from apps.live.topics import UUID_PATTERN, Topic
from apps.web import demo, navigation, refusals, search, tones
from apps.web.navigation import Item, Section
from apps.web.search import BY_UUID, Found, Source, among, by_value, everything

VIEW_TRIPS = "bookings.view_trip"

#: Wallets are in the same section, and register it alike.
SECTION = Section("bookings", _("Bookings"), 30)

PLACES = (Item("bookings", _("Trips"), "trips", icon="trips", permission=VIEW_TRIPS, order=10),)

DEMO = (
    demo.DemoPart("trips", "apps.bookings.services.demo.trips_seed", order=35),
    demo.DemoPart(
        "bookings", "apps.bookings.services.demo_bookings.bookings_seed", order=36, bare=False
    ),
)

NEXT_STEPS = {
    "route_in_use": _("Nothing was changed. Make a route with another code for new trips."),
    "vehicle_busy": _("Nothing was changed. Choose another vehicle, or another time."),
    "seats_taken": _("Nothing was changed. Choose a vehicle that has these seats."),
    "trip_settled": _("Nothing was changed."),
    "no_seat": _("Choose a shorter stretch, or another trip."),
    "seat_taken": _("Choose another seat, or let one be chosen."),
    "trip_closed": _("Choose another trip."),
    "no_open_trip": _("Look for another bus, or ask again when a trip is opened."),
    "sales_closed": _("Choose a later trip."),
    "fare_differs": _("Ask again with this fare, or without one."),
    "reservation_expired": _("Nothing was charged for it. Book again."),
}

TONES = {
    TripStatus.DRAFT: "",
    ON_SALE: "info",
    TripStatus.CLOSED: "",
    "held": "warn",
    "paying": "warn",
    "confirmed": "good",
    "released": "",
}

WORDS = {
    TRIP: _("trip"),
    STOP: _("stop"),
    ROUTE: _("route"),
    VEHICLE: _("vehicle"),
    ON_SALE: _("on sale"),
    TripStatus.DRAFT: _("draft"),
    TripStatus.CLOSED: _("closed"),
    "held": _("held"),
    "paying": _("being paid"),
    "confirmed": _("confirmed"),
    # Why a booking came to nothing.
    "no_seat": _("no seat free"),
    "seat_taken": _("seat taken"),
    "trip_closed": _("sale closed for the trip"),
    "trip_settled": _("trip over"),
    "reservation_expired": _("seat no longer kept"),
}

ACTIONS = {
    "trip.opened": _("Opened the trip"),
    "trip.delayed": _("Changed its times"),
    "trip.vehicle_swapped": _("Gave it another vehicle"),
    "stop.put": _("Saved the stop"),
    "route.put": _("Saved the route"),
    "vehicle.put": _("Saved the vehicle"),
}
TRIED = {
    "trip.open": _("Tried to open a trip"),
    "trip.delay": _("Tried to change its times"),
    "trip.swap_vehicle": _("Tried to give it another vehicle"),
}


def _found(trip: Trip) -> Found:
    return Found(
        title=trip.route.name,
        href=reverse("trip", args=[trip.pk]),
        key=trip.vehicle.code,
        state=trip.state,
        notes=(day_words(trip.service_date),),
        at=trip.departs_at,
    )


TRIPS = Source(
    key="trips",
    title=_("Trips"),
    hint=_("id, or the code of the bus"),
    permission=VIEW_TRIPS,
    scope=Scope.BOOKINGS_READ,
    order=54,
    find=among(
        lambda: Trip.objects.select_related("route", "vehicle"),
        BY_UUID,
        by_value("vehicle__code", ("-departs_at", "-id"), like=CODE.pattern),
        found=_found,
        seen=everything,
    ),
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    scopes.register(Scope)
    subject_types.register(TRIP, STOP, ROUTE, VEHICLE)
    navigation.register_sections(SECTION)
    navigation.register(*PLACES)
    search.register(TRIPS)
    for part in DEMO:
        demo.register(part)
    topics.register(Topic("trips", permission=VIEW_TRIPS))
    topics.register(Topic(TRIP, pattern=UUID_PATTERN, permission=VIEW_TRIPS))
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    roles.grant("requester", VIEW_TRIPS)
    for role in ("booking agent", "operator"):
        roles.grant(role, "bookings.view_*")
