"""Bookings, and the reservation of a seat that each has.

Money is decimal in major units with a currency beside it.
"""

from decimal import Decimal

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import IntegerRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.bookings.contracts import (
    ACTIVE,
    BookingStatus,
    PaymentMethod,
    ReservationStatus,
    Step,
)
from apps.bookings.models.trips import Trip
from apps.bookings.refund_rules import NEWEST
from apps.common.amounts import AmountField
from apps.common.identifiers import new_id
from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    StepRow,
    asked_once,
    end_stays,
    status_field,
)

GONE = (ReservationStatus.RELEASED, ReservationStatus.EXPIRED)


class BookingQuerySet(AskedQuerySet["Booking"]):
    """Queries that pages, API and admin share."""

    view_permission = "bookings.view_booking"
    open_statuses = [status for status in BookingStatus if not status.terminal]
    listed_with = ("requested_by", "trip")


class Booking(ProcessRow):
    """A seat for a rider over a stretch of a trip. `user_id` is the rider's, who is no user of the
    site."""

    # Nobody of the site asked for a booking that was started in the engine.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    user_id = models.CharField(max_length=80)
    trip = models.ForeignKey(Trip, on_delete=models.PROTECT, related_name="bookings")
    from_n = models.PositiveSmallIntegerField()
    to_n = models.PositiveSmallIntegerField()
    fare = AmountField()
    currency = models.CharField(max_length=3)
    wanted_seat = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Empty: any that is free."
    )
    payment_method = models.CharField(max_length=10, choices=[(one, one) for one in PaymentMethod])
    status = status_field(BookingStatus.RUNNING, longest=12)
    charged = AmountField(default=Decimal(0))
    refunded = AmountField(
        default=Decimal(0), help_text="Gone back or going back; refunds keep it up to date."
    )
    recognised = AmountField(default=Decimal(0), help_text="Already revenue.")
    refund_rule = models.PositiveSmallIntegerField(
        default=NEWEST, help_text="The version of the rule that it was booked under."
    )
    receipt = models.CharField(max_length=200, blank=True, help_text="Of the charge.")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    cancel_reason = models.TextField(max_length=2000, blank=True)

    objects = BookingQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            asked_once("booking_key_once"),
            models.CheckConstraint(
                name="booking_goes_forwards", condition=Q(from_n__lt=F("to_n"), from_n__gte=1)
            ),
            models.CheckConstraint(name="booking_fare_positive", condition=Q(fare__gt=0)),
            models.CheckConstraint(
                name="refund_within_charge",
                condition=Q(
                    refunded__gte=0,
                    recognised__gte=0,
                    refunded__lte=F("charged") - F("recognised"),
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="booking_newest"),
            models.Index(fields=["user_id", "-created_at", "-id"], name="booking_of_rider"),
            models.Index(fields=["trip", "-created_at", "-id"], name="booking_of_trip"),
        ]
        permissions = [("book", "Can book seats"), ("cancel_booking", "Can cancel bookings")]
        triggers = [
            end_stays(
                [status for status in BookingStatus if status.terminal], name="booking_end_stays"
            )
        ]

    def __str__(self) -> str:
        return self.workflow_id

    @property
    def amount(self) -> Decimal:
        """Return the fare, under the name that requests for a signature know."""
        return self.fare

    @property
    def segment(self) -> str:
        """Return the codes of its first and last stop: `A-B`."""
        codes = dict(
            self.trip.stops.filter(n__in=(self.from_n, self.to_n)).values_list("n", "stop__code")
        )
        return f"{codes[self.from_n]}-{codes[self.to_n]}"


class BookingStep(StepRow):
    """A step of a booking's saga."""

    booking = models.ForeignKey(Booking, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=30, choices=[(step, step) for step in Step])

    class Meta(StepRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["booking", "name"], name="booking_step_once")
        ]


class Reservation(models.Model):
    """A seat of a trip that is kept for a booking over a stretch of legs: `[from, to)`.

    The exclusion constraint is what keeps a seat from being sold twice over one stretch, whatever
    the services do.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    booking = models.OneToOneField(Booking, on_delete=models.PROTECT, related_name="reservation")
    trip = models.ForeignKey(Trip, on_delete=models.PROTECT, related_name="reservations")
    seat_number = models.PositiveSmallIntegerField()
    stretch = IntegerRangeField(help_text="Places of the stops, without the last one.")
    status = status_field(ReservationStatus.HELD, longest=12)
    expires_at = models.DateTimeField(help_text="When a hold ends; what is being paid stays.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            ExclusionConstraint(
                name="seat_sold_once",
                expressions=[
                    ("trip", RangeOperators.EQUAL),
                    ("seat_number", RangeOperators.EQUAL),
                    ("stretch", RangeOperators.OVERLAPS),
                ],
                condition=Q(status__in=ACTIVE),
            ),
            models.CheckConstraint(
                name="stretch_has_legs",
                condition=Q(
                    stretch__isempty=False,
                    stretch__lower_inf=False,
                    stretch__upper_inf=False,
                ),
            ),
        ]
        indexes = [
            models.Index(
                fields=["trip", "seat_number"], condition=Q(status__in=ACTIVE), name="seat_active"
            )
        ]
        triggers = [end_stays(GONE, name="reservation_end_stays")]

    def __str__(self) -> str:
        return f"{self.seat_number}"
