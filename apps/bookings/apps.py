from django.apps import AppConfig

from apps.common.language import lazy as _


class BookingsConfig(AppConfig):
    name = "apps.bookings"
    label = "bookings"
    verbose_name = _("Bookings")

    def ready(self) -> None:
        """Register the app with the shared apps."""
        from apps.bookings import (
            booking_registration,
            refund_registration,
            registration,
            trip_registration,
        )

        registration.register()
        booking_registration.register()
        refund_registration.register()
        trip_registration.register()
