"""Trips: a route on one service day with one vehicle, with their times and seats."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext

from apps.bookings.contracts import ON_SALE, TripStatus
from apps.bookings.models.network import Route, SeatPlace, Stop, Vehicle
from apps.common.identifiers import new_id
from apps.engine.models_abstract import end_stays, status_field

ENDS = [status for status in TripStatus if status.terminal]
CURRENT = [status for status in TripStatus if not status.terminal]


class Trip(models.Model):
    """A vehicle that passes the stops of a route once. Reservations lock its row, and only changes
    of the trip itself raise its version: not those of its seats."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    route = models.ForeignKey(Route, on_delete=models.PROTECT, related_name="trips")
    vehicle = models.ForeignKey(Vehicle, on_delete=models.PROTECT, related_name="trips")
    service_date = models.DateField(help_text="The day from which its times count.")
    status = status_field(TripStatus.DRAFT, longest=12)
    departs_at = models.DateTimeField(help_text="From its first stop.")
    sales_closed = models.PositiveSmallIntegerField(
        default=0, help_text="At so many of its stops, from the first, the sale is over."
    )
    workflow_id = models.CharField(max_length=200, blank=True, help_text="Of what accompanies it.")
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["departs_at", "id"]
        permissions = [("run_trip", "Can delay and cancel trips")]
        constraints = [
            # Also makes opening the same trip twice open one.
            models.UniqueConstraint(
                fields=["vehicle", "departs_at"],
                condition=~Q(status=TripStatus.CANCELLED),
                name="vehicle_departs_once",
            ),
        ]
        indexes = [
            models.Index(fields=["departs_at", "id"], name="trip_departs"),
            models.Index(
                fields=["departs_at", "id"],
                condition=Q(status__in=CURRENT),
                name="trip_current_departs",
            ),
            models.Index(fields=["service_date", "departs_at"], name="trip_day"),
        ]
        triggers = [end_stays(ENDS, name="trip_end_stays")]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def state(self) -> str:
        """Return the status as pages name it."""
        return ON_SALE if self.status == TripStatus.OPEN else self.status

    @property
    def has_ended(self) -> bool:
        """Return whether nothing is left to do for the trip."""
        return TripStatus(self.status).terminal


class TripStop(models.Model):
    """A trip at a stop. `n` is the stop's place on the route, from 1."""

    trip = models.ForeignKey(Trip, on_delete=models.CASCADE, related_name="stops")
    n = models.PositiveSmallIntegerField(help_text="Its place, from 1.")
    stop = models.ForeignKey(Stop, on_delete=models.PROTECT, related_name="+")
    arrives_at = models.DateTimeField()
    departs_at = models.DateTimeField()

    class Meta:
        ordering = ["trip", "n"]
        constraints = [
            models.UniqueConstraint(fields=["trip", "n"], name="trip_place_once"),
            models.UniqueConstraint(fields=["trip", "stop"], name="trip_stop_once"),
            models.CheckConstraint(
                name="trip_stop_in_order", condition=Q(departs_at__gte=F("arrives_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.n}"

    @property
    def name(self) -> str:
        """Return the name of its stop with the code."""
        return gettext("{name} ({code})").format(name=self.stop.name, code=self.stop.code)


class TripSeat(SeatPlace):
    """A seat of a trip, copied from its vehicle. A blocked one is not sold."""

    trip = models.ForeignKey(Trip, on_delete=models.CASCADE, related_name="seats")
    blocked = models.BooleanField(default=False)

    class Meta:
        ordering = ["trip", "number"]
        constraints = [
            models.UniqueConstraint(fields=["trip", "number"], name="trip_seat_number_once"),
            models.UniqueConstraint(fields=["trip", "row", "col"], name="trip_seat_place_once"),
        ]
