"""Payment events: as they were taken in, and as they are kept with their scores."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.common.exact_json import ExactDecoder, ExactEncoder
from apps.payments.contracts import STATUSES
from apps.payments.models.batches import PaymentBatch
from apps.payments.reading import LONGEST_ID, TEXTS

#: What of a kept event is about a person; erasure replaces the first and empties the others.
PERSONAL = ("customer_id", "card_last_four", "failure_message", "metadata")
ERASED = "erased-"
_ERASES_NOBODY = pgtrigger.Condition(
    f"""NOT (OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL
    AND NEW.customer_id ~ '^{ERASED}[0-9a-f]{{32}}$' AND NEW.card_last_four = ''
    AND NEW.failure_message = '' AND NEW.metadata = '{{}}'::jsonb)"""
)


class Came(models.Model):
    """How a message came: its bytes, and where a stream had it. Abstract."""

    key = models.BinaryField(null=True, blank=True)
    headers = models.JSONField(
        default=list, blank=True, help_text="Name and value (base64, or null), in their order."
    )
    source = models.CharField(max_length=10, help_text="kafka, redis, api or engine.")
    topic = models.CharField(max_length=250, blank=True)
    partition = models.IntegerField(null=True, blank=True)
    offset = models.CharField(
        max_length=45, blank=True, help_text="A number in Kafka, an entry's id in Redis."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="By the broker's clock.")

    class Meta:
        abstract = True


class Intake(Came):
    """An event that was taken in: who has its id, for ever. If it never took effect, a later one of
    the same id takes its place."""

    event_id = models.CharField(max_length=LONGEST_ID, unique=True)
    digest = models.CharField(max_length=64)
    raw = models.BinaryField(help_text="Empty: deleted, long after it was done.")
    attempt = models.PositiveIntegerField(default=1, help_text="Counts its workflow's starts.")
    twins = models.PositiveIntegerField(default=0, help_text="The same event, once more.")
    senseless = models.PositiveSmallIntegerField(
        default=0, help_text="Answers of the inference service that cannot be understood."
    )
    taken_at = models.DateTimeField(default=timezone.now)
    admitted_at = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    stored = models.BooleanField(default=False, help_text="Done, and kept among the events.")
    batch = models.ForeignKey(
        PaymentBatch,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="events",
        db_index=False,
        help_text="Which carries it, or has kept it.",
    )
    alone = models.BooleanField(
        default=False, help_text="Has left a batch: it gets a workflow of its own."
    )

    class Meta:
        db_table = "payments_intake"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(admitted_at=None, done_at=None),
                name="intake_waiting",
            ),
            models.Index(
                fields=["id"],
                condition=Q(alone=True, admitted_at=None, done_at=None),
                name="intake_waiting_alone",
            ),
            models.Index(
                fields=["batch"], condition=Q(batch__isnull=False), name="intake_of_batch"
            ),
            models.Index(
                fields=["admitted_at"],
                condition=Q(admitted_at__isnull=False, done_at=None),
                name="intake_open",
            ),
            models.Index(
                fields=["done_at"],
                condition=Q(done_at__isnull=False) & ~Q(raw=b""),
                name="intake_payloads",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="intake_stored_is_done", condition=Q(stored=False) | Q(done_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.event_id


class PaymentEvent(models.Model):
    """An event with its scores. Written once, and never changed, but that a person is erased."""

    event_id = models.CharField(max_length=LONGEST_ID, unique=True)
    provider = models.CharField(max_length=TEXTS["provider"])
    provider_event_id = models.CharField(max_length=TEXTS["provider_event_id"])
    event_type = models.CharField(max_length=TEXTS["event_type"])
    status = models.CharField(
        max_length=TEXTS["status"], choices=[(status, status) for status in STATUSES]
    )
    currency = models.CharField(max_length=TEXTS["currency"])
    amount_cents = models.BigIntegerField(help_text="Whole minor units of the currency.")
    merchant_id = models.CharField(max_length=TEXTS["merchant_id"], blank=True)
    customer_id = models.CharField(max_length=TEXTS["customer_id"], blank=True)
    payment_method_type = models.CharField(max_length=TEXTS["payment_method_type"], blank=True)
    card_brand = models.CharField(max_length=TEXTS["card_brand"], blank=True)
    card_last_four = models.CharField(max_length=TEXTS["card_last_four"], blank=True)
    failure_code = models.CharField(max_length=TEXTS["failure_code"], blank=True)
    failure_message = models.CharField(max_length=TEXTS["failure_message"], blank=True)
    metadata = models.JSONField(
        default=dict, blank=True, encoder=ExactEncoder, decoder=ExactDecoder
    )
    provider_created_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)
    schema_version = models.PositiveSmallIntegerField(default=1)

    fraud_score = models.FloatField(null=True, blank=True)
    risk_level = models.CharField(max_length=20, blank=True)
    retry_strategy = models.JSONField(null=True, blank=True)
    retry_delay_seconds = models.PositiveIntegerField(null=True, blank=True)
    churn_score = models.FloatField(null=True, blank=True)
    churn_risk_level = models.CharField(max_length=20, blank=True)
    days_to_churn_estimate = models.PositiveIntegerField(null=True, blank=True)

    intake = models.OneToOneField(Intake, on_delete=models.PROTECT, related_name="event")
    run_id = models.CharField(max_length=80, blank=True)
    lane = models.CharField(max_length=10, default="event")
    ingested_at = models.DateTimeField(default=timezone.now)
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="Who it was about is not kept since."
    )

    class Meta:
        db_table = "payment_events"
        ordering = ["-ingested_at", "-id"]
        indexes = [
            models.Index(F("ingested_at").desc(), F("id").desc(), name="payments_newest"),
            models.Index(F("customer_id"), F("ingested_at").desc(), name="payments_of_customer"),
            models.Index(F("status"), F("ingested_at").desc(), name="payments_by_status"),
        ]
        constraints = [
            models.CheckConstraint(
                name="payment_scores",
                condition=(Q(fraud_score=None) | Q(fraud_score__range=(0, 1)))
                & (Q(churn_score=None) | Q(churn_score__range=(0, 1))),
            )
        ]
        permissions = [("send_paymentevent", "Can send payment events")]
        triggers = [
            # Erasure of the person is the one update there is; everything else stays.
            pgtrigger.Protect(
                name="payments_append_only",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=[*PERSONAL, "erased_at"]),
            ),
            pgtrigger.Protect(
                name="payments_erase_only",
                operation=pgtrigger.Update,
                condition=_ERASES_NOBODY,
            ),
        ]

    def __str__(self) -> str:
        return self.event_id
