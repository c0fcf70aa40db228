"""The page of a trip's manifest, to be printed and taken along."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext

from apps.bookings.contracts import TRIP
from apps.bookings.models import Trip
from apps.bookings.selectors import Rider, manifest_lines
from apps.bookings.times import zone_of
from apps.common.dates import day_words, zoned_words
from apps.common.language import lazy as _
from apps.web.pages import DetailPage
from apps.web.pieces import Fact, Head, Link
from apps.web.qr import qr_svg
from apps.web.tables import Column, table

VIEW_MANIFEST = "bookings.view_manifest"


def _rows(user: Any) -> Any:
    return Trip.objects.select_related("route", "vehicle")


def _number(line: Rider) -> str:
    return gettext("Seat {number}").format(number=line.seat)


COLUMNS = (
    Column(head=_("Seat"), value=_number, form="title"),
    Column(head=_("From"), value="board", form="code", text=_("from {}")),
    Column(head=_("To"), value="leave", form="code", text=_("to {}")),
    Column(head=_("Rider"), value="rider"),
    Column(head=_("Booking"), value="booking", form="code"),
)


def _context(request: HttpRequest, trip: Trip) -> dict[str, Any]:
    lines, zone = manifest_lines(trip), zone_of(trip.route.zone)
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
        "riders": table(
            request,
            lines,
            COLUMNS,
            order="",
            default="",
            address="",
            id="manifest-riders",
            caption=gettext("Who travels on which seat"),
            by="booking",
            version=lambda line: line.seat,
        ),
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


DETAIL_PAGE = DetailPage(
    name="manifest",
    rows=_rows,
    context=_context,
    permission=VIEW_MANIFEST,
    main=("bookings/_manifest.html",),
    side=("web/_facts_panel.html", "bookings/_manifest_qr.html"),
)
