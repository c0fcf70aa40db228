"""The page of a trip's manifest, to be printed and taken along."""

from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.bookings.contracts import TRIP
from apps.bookings.models import Trip, TripStop
from apps.bookings.selectors import Rider, manifest_lines, stops_of
from apps.bookings.times import zone_of
from apps.bookings.views.stops import plain_table, stop_times
from apps.common.dates import day_words, zoned_words
from apps.common.language import lazy as _
from apps.wallets.services import rider_names
from apps.web.fragments import person
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link
from apps.web.qr import qr_svg
from apps.web.tables import Column, Table

VIEW_MANIFEST = "bookings.view_manifest"
VIEW_RIDERS = "wallets.view_rider"


def _rows(user: Any) -> Any:
    return Trip.objects.select_related("route", "vehicle")


def _number(line: Rider) -> str:
    return gettext("Seat {number}").format(number=line.seat)


def _context(request: HttpRequest, trip: Trip) -> dict[str, Any]:
    lines, zone = manifest_lines(trip), zone_of(trip.route.zone)
    stops = stops_of([trip])[trip.pk]
    sees_names = person(request).has_perm(VIEW_RIDERS)
    names = rider_names(line.rider for line in lines) if sees_names else {}
    handed = trip.manifests.exclude(handed_at=None).first()
    address = request.build_absolute_uri(reverse("manifest", args=[trip.pk]))
    riders = ngettext("{number} booking", "{number} bookings", len(lines))
    given = (
        zoned_words(handed.handed_at, zone) if handed and handed.handed_at else gettext("not yet")
    )
    return {
        "topics": f"{TRIP}:{trip.pk}",
        "head": Head(
            gettext("Manifest: {route}").format(route=trip.route.name),
            gettext("{bus} · {day}").format(
                bus=trip.vehicle.name, day=day_words(trip.service_date)
            ),
            crumbs=(
                Link(gettext("Trips"), "trips"),
                Link(trip.route.name, reverse("trip", args=[trip.pk])),
            ),
            state=trip.state,
        ),
        "stops": _stops(request, stops, lines, zone),
        "zone": trip.route.zone,
        "riders": _riders(request, stops, lines, names),
        "nobody": not lines,
        "qr": qr_svg(address, label=gettext("QR code with the address of this manifest")),
        "facts_title": gettext("Trip"),
        "facts": [
            Fact(gettext("Departs"), zoned_words(trip.departs_at, zone)),
            Fact(gettext("Bus"), trip.vehicle.code, form="code"),
            Fact(gettext("Bookings"), riders.format(number=len(lines))),
            Fact(gettext("Handed over"), given),
        ],
    }


def _stops(
    request: HttpRequest, stops: list[TripStop], lines: list[Rider], zone: ZoneInfo
) -> Table:
    """Return the stops with their times, and how many get on and off at each."""
    on, off = (Counter(getattr(line, place) for line in lines) for place in ("from_n", "to_n"))
    return plain_table(
        request,
        stops,
        (
            Column(head=_("Stop"), value="name", form="title"),
            *stop_times(zone, len(stops)),
            Column(
                head=_("Get on"), value=lambda stop: on[stop.n], form="count", text=_("get on: {}")
            ),
            Column(
                head=_("Get off"),
                value=lambda stop: off[stop.n],
                form="count",
                text=_("get off: {}"),
            ),
        ),
        id="manifest-stops",
        caption=gettext("Who gets on and off where"),
        version=lambda stop: f"{stop.departs_at}.{on[stop.n]}.{off[stop.n]}",
    )


def _riders(
    request: HttpRequest, stops: list[TripStop], lines: list[Rider], names: dict[str, str]
) -> Table:
    """Return who travels on which seat, from where to where."""
    at = {stop.n: stop.name for stop in stops}
    named = Column(head=_("Name"), value=lambda line: names.get(line.rider, ""))
    return plain_table(
        request,
        lines,
        (
            Column(head=_("Seat"), value=_number, form="title"),
            *([named] if names else []),
            Column(head=_("From"), value=lambda line: at[line.from_n], text=_("from {}")),
            Column(head=_("To"), value=lambda line: at[line.to_n], text=_("to {}")),
            Column(head=_("Rider's id"), value="rider", form="name"),
        ),
        id="manifest-riders",
        caption=gettext("Who travels on which seat"),
        by="booking",
        version=lambda line: f"{line.seat}.{names.get(line.rider)}",
    )


DETAIL_PAGE = DetailPage(
    name="manifest",
    rows=_rows,
    context=_context,
    permission=VIEW_MANIFEST,
    main=("bookings/_manifest_stops.html", "bookings/_manifest.html"),
    side=("web/_facts_panel.html", "bookings/_manifest_qr.html"),
    template="bookings/trip.html",
)
