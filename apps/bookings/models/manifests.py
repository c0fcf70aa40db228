"""The manifest of a trip: who travels, on which seat, from where to where."""

from django.db import models
from django.utils import timezone

from apps.bookings.models.bookings import Booking
from apps.bookings.models.trips import Trip


class ManifestLine(models.Model):
    """A confirmed booking on its trip's manifest; deleted when it is cancelled."""

    trip = models.ForeignKey(Trip, on_delete=models.PROTECT, related_name="manifest_lines")
    booking = models.OneToOneField(Booking, on_delete=models.PROTECT, related_name="manifest_line")
    seat_number = models.PositiveSmallIntegerField()
    from_n = models.PositiveSmallIntegerField()
    to_n = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["trip", "from_n", "seat_number"]

    def __str__(self) -> str:
        return f"{self.booking_id} {self.seat_number}"
