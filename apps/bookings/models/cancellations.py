"""Cancelled trips: every booking on it ends, with all of its money back."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext

from apps.bookings.contracts import TripStatus
from apps.bookings.contracts.trips import CancellationStatus, ItemStatus
from apps.bookings.models.bookings import Booking
from apps.bookings.models.trips import Trip
from apps.common.amounts import AmountField
from apps.common.dates import day_words
from apps.engine.models_abstract import AskedQuerySet, Run, RunItem, end_stays, status_field

NOT_STOPPED = [
    CancellationStatus.AWAITING_APPROVAL,
    CancellationStatus.PENDING,
    CancellationStatus.RUNNING,
    CancellationStatus.PAUSED,
    CancellationStatus.COMPLETED,
]


class TripCancellationQuerySet(AskedQuerySet["TripCancellation"]):
    """Queries that pages, API and admin share."""

    view_permission = "bookings.view_tripcancellation"
    open_statuses = [status for status in CancellationStatus if not status.terminal]
    listed_with = ("requested_by", "trip__route", "trip__vehicle")


class TripCancellation(Run):
    """The cancellation of a trip: signed on the total, then carried out booking by booking."""

    trip = models.ForeignKey(Trip, on_delete=models.PROTECT, related_name="cancellations")
    reason = models.TextField(max_length=2000)
    amount = AmountField(help_text="The most that goes back to the riders.")
    currency = models.CharField(max_length=3)
    before = models.CharField(
        max_length=12,
        choices=[(status, status) for status in TripStatus],
        help_text="The trip's status before it was asked for.",
    )
    status = status_field(CancellationStatus.AWAITING_APPROVAL)

    objects = TripCancellationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["trip"], condition=Q(status__in=NOT_STOPPED), name="trip_cancelled_once"
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="cancellations_newest")]
        triggers = [
            end_stays(
                [status for status in CancellationStatus if status.terminal],
                name="cancellation_end_stays",
            )
        ]

    def __str__(self) -> str:
        return gettext("{route}, {day}").format(
            route=self.trip.route.name, day=day_words(self.trip.service_date)
        )


class TripCancellationItem(RunItem):
    """A booking on a cancelled trip."""

    cancellation = models.ForeignKey(
        TripCancellation, on_delete=models.CASCADE, related_name="items"
    )
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="+")
    status = status_field(ItemStatus.WAITING, longest=10)

    class Meta:
        ordering = ["cancellation", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["cancellation", "number"], name="cancelled_number_once"
            ),
            models.UniqueConstraint(
                fields=["cancellation", "booking"], name="cancelled_booking_once"
            ),
        ]
        indexes = [models.Index(fields=["cancellation", "status"], name="cancelled_by_status")]

    def __str__(self) -> str:
        return f"{self.number}"
