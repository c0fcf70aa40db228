"""Admin of the network: stops, routes with their fares, vehicles with their seats."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from apps.bookings.forms import RouteForm, StopForm, VehicleForm
from apps.bookings.models import Fare, Route, RouteStop, Seat, Stop, Vehicle
from apps.bookings.services import network
from apps.bookings.services.network import SeatAt
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline, acting
from apps.web.admin_forms import ServiceFormAdmin


class RouteStopInline(ReadOnlyInline):
    model = RouteStop
    fk_name = "route"
    fields = ("n", "stop")
    related = ("stop",)
    order = "n"


class FareInline(ReadOnlyInline):
    model = Fare
    fk_name = "route"
    currency = "route.currency"
    fields = ("from_n", "to_n", "amount")
    related = ("route",)
    order = "pk"


class SeatInline(ReadOnlyInline):
    model = Seat
    fk_name = "vehicle"
    verbose_name_plural = _("seats, the first 50")
    fields = ("number", "row", "col")
    order = "number"


@admin.register(Stop)
class StopAdmin(ServiceFormAdmin):
    """Stops. A code stays; name and time zone can be changed."""

    list_display = ("code", "name", "zone")
    ordering = ("code",)
    search_exact = ("code", "name")
    search_help_text = _("An exact code or name.")
    service_form = StopForm
    new_label = _("New stop")
    edit_label = _("Change the stop")

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        """Save the stop."""
        return network.stop_put(**data, by=acting(request), via="admin")


@admin.register(Route)
class RouteAdmin(ServiceFormAdmin):
    """Routes with their stops and fares. Bookings keep the fare that they were made for."""

    list_display = ("code", "name", "currency", "zone")
    ordering = ("code",)
    search_exact = ("code", "name")
    search_help_text = _("An exact code or name.")
    service_form = RouteForm
    new_label = _("New route")
    edit_label = _("Change the route")
    inlines = (RouteStopInline, FareInline)

    def initial_of(self, row: Any) -> dict[str, Any]:
        """Return the route with its stops and fares."""
        codes = dict(row.stops.order_by("n").values_list("n", "stop__code"))
        fares = {
            f"{codes[one.from_n]}-{codes[one.to_n]}": exact(one.amount, row.currency)
            for one in row.fares.all()
        }
        own = {name: getattr(row, name) for name in ("code", "name", "currency", "zone")}
        return {**own, "stops": list(codes.values()), "fares": fares}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        """Save the route."""
        return network.route_put(**data, by=acting(request), via="admin")


@admin.register(Vehicle)
class VehicleAdmin(ServiceFormAdmin):
    """Vehicles with their seats. Trips that are open keep the seats they have."""

    list_display = ("code", "name")
    ordering = ("code",)
    search_exact = ("code", "name")
    search_help_text = _("An exact code or name.")
    service_form = VehicleForm
    new_label = _("New vehicle")
    edit_label = _("Change the vehicle")
    inlines = (SeatInline,)

    def initial_of(self, row: Any) -> dict[str, Any]:
        """Return the vehicle with its seats."""
        seats = [SeatAt(*one) for one in row.seats.values_list("number", "row", "col")]
        known = {"operator_email": row.operator_email, "seats": seats}
        return {"code": row.code, "name": row.name, **known}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        """Save the vehicle."""
        return network.vehicle_put(**data, by=acting(request), via="admin")


@admin.register(RouteStop)
class RouteStopAdmin(ReadOnlyAdmin):
    list_display = ("route", "n", "stop")
    list_select_related = ("route", "stop")


@admin.register(Fare)
class FareAdmin(ReadOnlyAdmin):
    currency = "route.currency"
    list_display = ("route", "from_n", "to_n", "amount")
    list_select_related = ("route",)


@admin.register(Seat)
class SeatAdmin(ReadOnlyAdmin):
    list_display = ("vehicle", "number", "row", "col")
    list_select_related = ("vehicle",)
