"""The manifest of a trip: who travels, on which seat, from where to where."""

import pgtrigger
from django.db import models
from django.db.models import Q
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


class Manifest(models.Model):
    """The manifest of a trip as it was handed over: `body` stays as it was then."""

    trip = models.ForeignKey(Trip, on_delete=models.PROTECT, related_name="manifests")
    version = models.PositiveSmallIntegerField(default=1)
    body = models.JSONField(default=dict, help_text="Empty until it is handed over.")
    handed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["trip", "version"]
        constraints = [
            models.UniqueConstraint(fields=["trip", "version"], name="manifest_version_once"),
            models.CheckConstraint(
                name="manifest_handed", condition=Q(body={}) | ~Q(handed_at=None)
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="manifest_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__handed_at__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.trip_id} {self.version}"
