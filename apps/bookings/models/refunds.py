"""Refunds of confirmed bookings, each a row with a state of its own."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext

from apps.bookings.contracts import RefundStatus
from apps.bookings.models.bookings import Booking
from apps.common.amounts import AmountField
from apps.common.money import shown
from apps.engine.models_abstract import AskedQuerySet, ProcessRow, end_stays, status_field

#: `refunded` of the booking is the sum of its refunds that were not rejected, whoever writes them:
#: its constraint is then a constraint on the refunds.
COUNTED = """
    UPDATE bookings_booking
       SET refunded = refunded
           + CASE WHEN NEW.status = 'rejected' THEN 0 ELSE NEW.amount END
           - {before}
     WHERE id = NEW.booking_id;
    RETURN NEW;
"""
BEFORE = "CASE WHEN OLD.status = 'rejected' THEN 0 ELSE OLD.amount END"


class RefundQuerySet(AskedQuerySet["Refund"]):
    """Queries that pages, API and admin share."""

    view_permission = "bookings.view_refund"
    open_statuses = [status for status in RefundStatus if not status.terminal]
    listed_with = ("requested_by", "booking")


class Refund(ProcessRow):
    """Money of a confirmed booking that goes back, at once or after a signature. Money of a booking
    that never was confirmed goes back without one."""

    # Nobody of the site asks for a refund that a cancellation in the engine brings about.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    booking = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="refunds")
    n = models.PositiveSmallIntegerField(help_text="Its place among the booking's, from 1.")
    key = models.CharField(max_length=160, unique=True, help_text="Its money moves once by it.")
    amount = AmountField()
    currency = models.CharField(max_length=3)
    rule = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="The version of the rule; empty: a person chose it.",
    )
    reason = models.TextField(max_length=2000, blank=True)
    status = status_field(RefundStatus.PROPOSED)
    receipt = models.CharField(max_length=200, blank=True, help_text="Of the payment service.")

    objects = RefundQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["booking", "n"], name="refund_once"),
            models.CheckConstraint(name="refund_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="refund_key_once",
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="refunds_newest")]
        permissions = [("request_refund", "Can ask for refunds")]
        triggers = [
            pgtrigger.Trigger(
                name="counted_new",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func=COUNTED.format(before="0"),
            ),
            pgtrigger.Trigger(
                name="counted",
                operation=pgtrigger.UpdateOf("amount", "status"),
                when=pgtrigger.Before,
                func=COUNTED.format(before=BEFORE),
            ),
            end_stays(
                [status for status in RefundStatus if status.terminal], name="refund_end_stays"
            ),
        ]

    def __str__(self) -> str:
        return gettext("{amount} of {booking}").format(
            amount=shown(self.amount, self.currency), booking=self.booking.workflow_id
        )
