"""Admin of bookings and reservations: read-only, sagas own them."""

from django.contrib import admin

from apps.bookings.models import Booking, BookingStep, ManifestLine, Reservation
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin


@admin.register(Booking)
class BookingAdmin(ReadOnlyAdmin):
    list_display = ("workflow_id", "user_id", "status", "fare", "charged", "refunded", "created_at")
    list_filter = ("status", "payment_method")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "workflow_id", "user_id")
    search_help_text = _("An exact id, of the booking, its workflow or its rider.")
    exclude = ("request_digest", "idempotency_key")


@admin.register(BookingStep)
class BookingStepAdmin(ReadOnlyAdmin):
    list_display = ("name", "booking", "status", "attempts", "started_at", "finished_at")
    list_filter = ("status", "name")
    list_select_related = ("booking",)
    ordering = ("-id",)
    search_exact = ("booking",)
    search_help_text = _("The exact id of a booking.")


@admin.register(ManifestLine)
class ManifestLineAdmin(ReadOnlyAdmin):
    list_display = ("booking", "trip", "seat_number", "from_n", "to_n", "created_at")
    list_select_related = ("booking", "trip")
    ordering = ("-id",)
    search_exact = ("booking", "trip")
    search_help_text = _("The exact id of a booking or of a trip.")


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("seat_number", "stretch", "status", "trip", "booking", "expires_at")
    list_filter = ("status",)
    list_select_related = ("trip", "booking")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "booking", "trip")
    search_help_text = _("An exact id, of the reservation, its booking or its trip.")
