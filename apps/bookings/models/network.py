"""The network: stops, routes with their fares, vehicles with their seats."""

from django.db import models
from django.db.models import F, Q

from apps.common.amounts import AmountField
from apps.common.language import lazy as _


class Stop(models.Model):
    """A place where trips stop."""

    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=160)
    zone = models.CharField(max_length=60, help_text="Its time zone, such as Africa/Lagos.")

    def __str__(self) -> str:
        return self.code


class Route(models.Model):
    """An order of stops, in which a trip passes each once."""

    code = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=160)
    currency = models.CharField(max_length=3)
    zone = models.CharField(max_length=60, help_text="The time zone of its timetable.")

    def __str__(self) -> str:
        return self.code


class RouteStop(models.Model):
    """A stop of a route. `n` counts from 1."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="stops")
    n = models.PositiveSmallIntegerField(help_text="Its place, from 1.")
    stop = models.ForeignKey(Stop, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["route", "n"]
        constraints = [
            models.UniqueConstraint(fields=["route", "n"], name="route_place_once"),
            models.UniqueConstraint(fields=["route", "stop"], name="route_stop_once"),
            models.CheckConstraint(name="route_places_from_one", condition=Q(n__gte=1)),
        ]

    def __str__(self) -> str:
        return f"{self.n}"


class Fare(models.Model):
    """The price from one stop of a route to a later one, in the route's currency."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="fares")
    from_n = models.PositiveSmallIntegerField()
    to_n = models.PositiveSmallIntegerField()
    amount = AmountField()

    class Meta:
        ordering = ["route", "from_n", "to_n"]
        constraints = [
            models.UniqueConstraint(fields=["route", "from_n", "to_n"], name="fare_once"),
            models.CheckConstraint(name="fare_goes_forwards", condition=Q(from_n__lt=F("to_n"))),
            models.CheckConstraint(name="fare_positive", condition=Q(amount__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.from_n} to {self.to_n}"


class Vehicle(models.Model):
    """A vehicle that trips are made with; bookings name it as `busId`."""

    code = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=160)
    operator_email = models.EmailField(
        blank=True, help_text="Where the manifests of its trips are sent."
    )

    def __str__(self) -> str:
        return self.code


class SeatPlace(models.Model):
    """The number of a seat and its place in the vehicle; columns without a seat are an aisle."""

    number = models.PositiveSmallIntegerField()
    row = models.PositiveSmallIntegerField(help_text="From 1, the front.")
    col = models.PositiveSmallIntegerField(help_text="From 1, the left.")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.number)


class Seat(SeatPlace):
    """A seat of a vehicle. Trips have copies of their own."""

    vehicle = models.ForeignKey(Vehicle, on_delete=models.CASCADE, related_name="seats")

    class Meta:
        ordering = ["vehicle", "number"]
        verbose_name_plural = _("seats of vehicles")
        constraints = [
            models.UniqueConstraint(fields=["vehicle", "number"], name="seat_number_once"),
            models.UniqueConstraint(fields=["vehicle", "row", "col"], name="seat_place_once"),
        ]
