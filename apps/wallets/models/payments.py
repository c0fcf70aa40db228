"""What a provider says: payments that were verified, webhooks as they came, and their reviews."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.models_abstract import (
    AskedQuerySet,
    AskedRow,
    as_signed,
    end_stays,
    status_field,
)
from apps.wallets.contracts import (
    EventOutcome,
    MoneyStatus,
    ReviewCode,
    ReviewStatus,
)
from apps.wallets.models.topups import TopUp

PAYSTACK = "paystack"
#: Why a person looks at it.
WHY = {
    ReviewCode.LATE: _("paid when nobody waited for it any more"),
    ReviewCode.AMOUNT_DIFFERS: _("another amount was paid"),
    ReviewCode.CURRENCY_DIFFERS: _("another currency was paid"),
    ReviewCode.PAID_TWICE: _("paid a second time"),
    ReviewCode.WALLET_FULL: _("the wallet cannot hold so much"),
    ReviewCode.REFERENCE_UNKNOWN: _("paid for a reference that is not ours"),
    ReviewCode.UNCONFIRMED: _("a webhook says it was paid, Paystack does not"),
    ReviewCode.UNREADABLE: _("a signed webhook that cannot be read"),
    ReviewCode.DISPUTE: _("the payer disputes the payment"),
    ReviewCode.REFUND_FAILED: _("the money could not be sent back"),
}


class ProviderTransaction(models.Model):
    """A payment that the provider has verified: in a wallet, in suspense, or sent back. The unique
    columns are what keeps a payment from being taken in twice, on whichever path."""

    provider = models.CharField(max_length=20, default=PAYSTACK)
    provider_id = models.CharField(max_length=40, help_text="A text: ids there have 64 bits.")
    reference = models.CharField(max_length=200)
    top_up = models.ForeignKey(
        TopUp, null=True, blank=True, on_delete=models.PROTECT, related_name="payments"
    )
    amount = AmountField(help_text="What was paid.")
    currency = models.CharField(max_length=3)
    paid_at = models.DateTimeField(null=True, blank=True)
    status = status_field(MoneyStatus.SUSPENSE, longest=14)
    returns = models.PositiveSmallIntegerField(default=0, help_text="How often it was sent back.")
    refund_id = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "provider_id"], name="provider_id_once"),
            models.UniqueConstraint(fields=["provider", "reference"], name="provider_paid_once"),
            models.CheckConstraint(name="payment_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(status=MoneyStatus.SENDING_BACK),
                name="payments_to_return",
            )
        ]
        triggers = [
            as_signed(
                *("provider", "provider_id", "reference", "top_up_id", "amount", "currency"),
                name="payment_stays",
            )
        ]

    def __str__(self) -> str:
        return gettext("{amount}, payment {id}").format(
            amount=shown(self.amount, self.currency), id=self.provider_id
        )


class WebhookEvent(models.Model):
    """A signed webhook as it came: kept before it is read. The same bytes again are counted."""

    provider = models.CharField(max_length=20, default=PAYSTACK)
    body_sha256 = models.CharField(max_length=64)
    body = models.BinaryField()
    event = models.CharField(max_length=200, blank=True)
    reference = models.CharField(max_length=200, blank=True)
    deliveries = models.PositiveIntegerField(default=1)
    outcome = models.CharField(
        max_length=10, blank=True, choices=[(one, one or "open") for one in EventOutcome]
    )
    detail = models.CharField(max_length=200, blank=True)
    next_look_at = models.DateTimeField(default=timezone.now)
    looks = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "body_sha256"], name="webhook_bytes_once")
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="webhook_events_newest"),
            models.Index(
                fields=["next_look_at", "id"], condition=Q(outcome=""), name="events_open"
            ),
            models.Index(fields=["reference"], name="events_of_a_reference"),
        ]
        triggers = [as_signed("provider", "body_sha256", "body", name="webhook_event_stays")]

    def __str__(self) -> str:
        return self.event or self.body_sha256[:12]


class ReviewQuerySet(AskedQuerySet["PaymentReview"]):
    """Queries that pages, API and admin share."""

    view_permission = "wallets.view_paymentreview"
    open_statuses = [status for status in ReviewStatus if not status.terminal]
    listed_with = ("payment__top_up__wallet__rider",)


class PaymentReview(AskedRow):
    """What a person has to look at: money that nobody expected, or a webhook without a plain
    meaning."""

    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    code = models.CharField(max_length=20, choices=[(code, code) for code in ReviewCode])
    detail = models.CharField(max_length=400, blank=True)
    payment = models.ForeignKey(
        ProviderTransaction,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="reviews",
    )
    event = models.OneToOneField(
        WebhookEvent, null=True, blank=True, on_delete=models.PROTECT, related_name="review"
    )
    reference = models.CharField(max_length=200, blank=True)
    amount = AmountField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    status = status_field(ReviewStatus.AWAITING_DECISION)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(status__in=[ReviewStatus.AWAITING_DECISION, ReviewStatus.SENDING_BACK]),
                name="payment_reviewed_once",
            )
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="reviews_newest"),
            models.Index(fields=["reference"], name="reviews_of_a_reference"),
        ]
        triggers = [
            end_stays(
                [status for status in ReviewStatus if status.terminal], name="review_end_stays"
            )
        ]

    def __str__(self) -> str:
        why = WHY[ReviewCode(self.code)]
        if self.amount is None:
            return str(why)
        return gettext("{amount}: {why}").format(amount=shown(self.amount, self.currency), why=why)
