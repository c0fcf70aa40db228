"""Admin of trips: opened, delayed and given another vehicle, each after a page that shows the
effect."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.bookings.forms import DelayForm, SwapForm, TripForm
from apps.bookings.models import Trip, TripSeat, TripStop
from apps.bookings.services import trips
from apps.common.dates import day_words
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline, acting
from apps.web.admin_forms import FormPagesAdmin, form_page


class TripStopInline(ReadOnlyInline):
    model = TripStop
    fk_name = "trip"
    fields = ("n", "stop", "arrives_at", "departs_at")
    related = ("stop",)
    order = "n"


class TripSeatInline(ReadOnlyInline):
    model = TripSeat
    fk_name = "trip"
    verbose_name_plural = _("seats, the first 50")
    fields = ("number", "row", "col", "blocked")
    order = "number"


def _opened(row: None, data: dict[str, Any]) -> list[str]:
    return [
        gettext("{route} is opened for sale on {day}, with {vehicle}.").format(
            route=data["route"], day=day_words(data["service_date"]), vehicle=data["vehicle"]
        ),
        gettext("It keeps the seats that the vehicle has now."),
    ]


def _swapped(trip: Trip, data: dict[str, Any]) -> list[str]:
    return [
        gettext("The trip is made with {vehicle}, and has its seats.").format(
            vehicle=data["vehicle"]
        ),
        gettext("It is refused if a seat that is sold or held would be gone."),
    ]


def _delayed(trip: Trip, data: dict[str, Any]) -> list[str]:
    minutes = data["minutes"]
    later = ngettext(
        "It leaves stop {place} {number} minute later, and passes all after it later.",
        "It leaves stop {place} {number} minutes later, and passes all after it later.",
        abs(minutes),
    )
    earlier = ngettext(
        "It leaves stop {place} {number} minute earlier, and passes all after it earlier.",
        "It leaves stop {place} {number} minutes earlier, and passes all after it earlier.",
        abs(minutes),
    )
    told = earlier if minutes < 0 else later
    return [
        told.format(place=data["from_n"], number=abs(minutes)),
        gettext("The sale at these stops ends by the new times."),
    ]


@admin.register(Trip)
class TripAdmin(FormPagesAdmin):
    """Trips. Seats are sold by bookings alone."""

    page_name = "trip"
    list_display = ("route", "vehicle", "service_date", "departs_at", "status", "staff_page")
    list_filter = ("status",)
    list_select_related = ("route", "vehicle")
    ordering = ("-departs_at", "-id")
    search_exact = ("id",)
    search_help_text = _("An exact id.")
    readonly_fields = ("staff_page",)
    inlines = (TripStopInline, TripSeatInline)

    @form_page(_("Open a trip"), form=TripForm, lines=_opened, button=_("Open"))
    def open(self, request: HttpRequest, row: None, data: dict[str, Any]) -> Trip:
        """Open a trip."""
        return trips.trip_open(**data, by=acting(request), via="admin")[0]

    @form_page(
        _("Change the vehicle"),
        form=SwapForm,
        lines=_swapped,
        button=_("Change"),
        of_row=True,
    )
    def swap(self, request: HttpRequest, trip: Trip, data: dict[str, Any]) -> Trip:
        """Give the trip another vehicle."""
        return trips.vehicle_swap(
            trip_id=trip.pk, **data, by=acting(request), via="admin", as_of=timezone.now()
        )

    @form_page(
        _("Delay"),
        form=DelayForm,
        lines=_delayed,
        button=_("Delay"),
        of_row=True,
    )
    def delay(self, request: HttpRequest, trip: Trip, data: dict[str, Any]) -> Trip:
        """Delay the trip from a stop on."""
        return trips.trip_delay(trip_id=trip.pk, **data, by=acting(request), via="admin")


@admin.register(TripStop)
class TripStopAdmin(ReadOnlyAdmin):
    list_display = ("trip", "n", "stop", "arrives_at", "departs_at")
    list_select_related = ("trip", "stop")


@admin.register(TripSeat)
class TripSeatAdmin(ReadOnlyAdmin):
    list_display = ("trip", "number", "row", "col", "blocked")
