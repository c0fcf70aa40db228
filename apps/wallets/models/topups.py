"""Top-ups of wallets, and the references under which they are paid."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.money import shown
from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    StepRow,
    as_signed,
    asked_once,
    end_stays,
    status_field,
)
from apps.wallets.contracts import ReferenceStatus, Step, TopUpStatus
from apps.wallets.models.riders import Wallet


class TopUpQuerySet(AskedQuerySet["TopUp"]):
    """Queries that pages, API and admin share."""

    view_permission = "wallets.view_topup"
    open_statuses = [status for status in TopUpStatus if not status.terminal]
    listed_with = ("requested_by", "wallet__rider")


class TopUp(ProcessRow):
    """Money that a rider pays into the wallet through Paystack."""

    # Nobody of the site asked for a top-up that was started in the engine.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="top_ups")
    amount = AmountField()
    currency = models.CharField(max_length=3)
    status = status_field(TopUpStatus.RUNNING)
    pay_until = models.DateTimeField(
        null=True, blank=True, help_text="When the wait for the payment ends."
    )
    credited_at = models.DateTimeField(null=True, blank=True)

    objects = TopUpQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            asked_once("topup_key_once"),
            models.CheckConstraint(name="topup_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="topups_newest"),
            models.Index(fields=["wallet", "-created_at", "-id"], name="topups_of_a_wallet"),
            models.Index(
                fields=["created_at", "id"],
                condition=Q(status__in=[one for one in TopUpStatus if not one.terminal]),
                name="topups_open",
            ),
            models.Index(
                fields=["credited_at"],
                condition=Q(credited_at__isnull=False),
                name="topups_credited",
            ),
        ]
        triggers = [
            as_signed("wallet_id", "amount", "currency", name="topup_as_asked"),
            end_stays(
                [status for status in TopUpStatus if status.terminal], name="topup_end_stays"
            ),
        ]

    def __str__(self) -> str:
        return gettext("{amount} for {user_id}").format(
            amount=shown(self.amount, self.currency), user_id=self.user_id
        )

    @property
    def user_id(self) -> str:
        """Return the rider's id."""
        return self.wallet.user_id


class TopUpStep(StepRow):
    """A step of a top-up."""

    top_up = models.ForeignKey(TopUp, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=30, choices=[(step, step) for step in Step])

    class Meta(StepRow.Meta):
        constraints = [models.UniqueConstraint(fields=["top_up", "name"], name="topup_step_once")]


class PaystackReference(models.Model):
    """A reference that Paystack was, or may have been, sent; committed before the call.

    An attempt whose answer was lost has used its reference up: the next attempt takes another one.
    The old one still counts if it is paid.
    """

    reference = models.CharField(max_length=100, unique=True)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="references")
    number = models.PositiveSmallIntegerField(help_text="Of the attempt, from 1.")
    status = status_field(ReferenceStatus.SENT, longest=12)
    access_code = models.CharField(max_length=200, blank=True)
    authorization_url = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["top_up", "number"]
        constraints = [
            models.UniqueConstraint(fields=["top_up", "number"], name="reference_number_once")
        ]

    def __str__(self) -> str:
        return self.reference
