"""Infractions: reports of fraud about a payment, which the other side decides within seven days."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.common.amounts import AmountField
from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    asked_once,
    end_stays,
    status_field,
)
from apps.pix.contracts import LONGEST_ID, LONGEST_KEY, KeyType, Origin
from apps.pix.contracts.infractions import (
    CURRENCY,
    LONGEST_DETAILS,
    LONGEST_URL,
    Analysis,
    FraudType,
    InfractionReason,
    InfractionStatus,
    Owed,
    Situation,
)

OPEN = [status for status in InfractionStatus if not status.ended]
ENDS = [status for status in InfractionStatus if status.ended]
#: Eight letters or digits, or none: whoever starts one in the engine may not know the other side.
ISPB_OR_NONE = r"^([0-9A-Z]{8})?$"


class InfractionQuerySet(AskedQuerySet["Infraction"]):
    """Queries that pages, API and admin share."""

    view_permission = "pix.view_infraction"
    open_statuses = OPEN


class Infraction(ProcessRow):
    """An infraction. Others know it by `infraction_id`, the directory by an id of its own.

    `owed` is what the directory has to be told of it next: a closed one still has a workflow until
    the directory knows.
    """

    # Nobody of the site asked for what was started in the engine, or comes from the directory.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    infraction_id = models.CharField(max_length=LONGEST_ID, unique=True)
    directory_id = models.CharField(max_length=LONGEST_ID, blank=True)
    transaction_id = models.CharField(max_length=LONGEST_ID, blank=True)
    reason = models.CharField(
        max_length=16,
        choices=[(one, one) for one in InfractionReason],
        default=InfractionReason.REFUND_REQUEST,
    )
    situation = models.CharField(
        max_length=18, choices=[(one, one) for one in Situation], default=Situation.UNKNOWN
    )
    details = models.TextField(max_length=LONGEST_DETAILS, blank=True)
    contact_email = models.CharField(max_length=254, blank=True)
    contact_phone = models.CharField(max_length=20, blank=True)
    reporter_ispb = models.CharField(max_length=8, blank=True)
    counterparty_ispb = models.CharField(max_length=8, blank=True)
    reporter_ours = models.BooleanField(default=False)
    counterparty_ours = models.BooleanField(default=False)
    amount = AmountField(null=True)
    currency = models.CharField(max_length=3, default=CURRENCY)
    key_type = models.CharField(max_length=5, choices=[(one, one) for one in KeyType], blank=True)
    key = models.CharField(max_length=LONGEST_KEY, blank=True)
    claim_id = models.CharField(
        max_length=LONGEST_ID, blank=True, help_text="A claim of the same key."
    )
    status = status_field(InfractionStatus.OPEN, longest=13)
    result = models.CharField(max_length=9, choices=[(one, one) for one in Analysis], blank=True)
    fraud_type = models.CharField(
        max_length=17, choices=[(one, one) for one in FraudType], blank=True
    )
    analysis = models.TextField(
        max_length=LONGEST_DETAILS, blank=True, help_text="What was found, for the directory."
    )
    received_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(help_text="Seven days after receipt.")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_via = models.CharField(max_length=20, blank=True)
    directory_status = models.CharField(max_length=20, blank=True)
    directory_modified_at = models.DateTimeField(null=True, blank=True)
    owed = models.CharField(max_length=11, choices=[(one, one) for one in Owed], blank=True)
    #: A creation was sent: the directory may know it although its answer was lost.
    sent = models.BooleanField(default=False)
    #: The directory refuses what is owed, or a person has said to leave it.
    refused = models.CharField(max_length=60, blank=True)
    #: The status that the last event told of.
    told = models.CharField(max_length=13, blank=True)
    #: Workflows that others started for the same infraction: they end when it does.
    joined = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    origin = models.CharField(max_length=10, choices=[(one, one) for one in Origin])

    objects = InfractionQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            asked_once("infraction_key_once"),
            models.UniqueConstraint(
                fields=["directory_id"],
                condition=~Q(directory_id=""),
                name="directory_infraction_once",
            ),
            models.UniqueConstraint(
                fields=["transaction_id", "reason"],
                condition=Q(status__in=OPEN) & ~Q(transaction_id=""),
                name="one_open_infraction_of_a_payment",
            ),
            models.CheckConstraint(
                name="infraction_ispb_shape",
                condition=Q(
                    reporter_ispb__regex=ISPB_OR_NONE, counterparty_ispb__regex=ISPB_OR_NONE
                ),
            ),
            models.CheckConstraint(
                name="infraction_ended_at",
                condition=Q(status__in=OPEN, settled_at=None)
                | Q(status__in=ENDS, settled_at__isnull=False),
            ),
            models.CheckConstraint(
                name="infraction_result_closes",
                condition=Q(result="") | Q(status__in=ENDS),
            ),
            models.CheckConstraint(
                name="agreed_names_the_fraud",
                condition=Q(result=Analysis.AGREED) & ~Q(fraud_type="")
                | ~Q(result=Analysis.AGREED) & Q(fraud_type=""),
            ),
            models.CheckConstraint(
                name="other_has_details",
                condition=~Q(situation=Situation.OTHER) | ~Q(details=""),
            ),
            models.CheckConstraint(
                name="infraction_key_with_its_type", condition=Q(key="") | ~Q(key_type="")
            ),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="infractions_newest"),
            models.Index(F("status"), F("due_at"), F("id"), name="infractions_by_status"),
            models.Index(
                F("requested_by"), F("created_at").desc(), F("id").desc(), name="infractions_asked"
            ),
            models.Index(fields=["due_at", "id"], name="infractions_due"),
            models.Index(
                F("created_at"),
                F("id"),
                condition=Q(status__in=OPEN) | ~Q(owed=""),
                name="infractions_carried",
            ),
            models.Index(fields=["transaction_id"], name="infractions_of_payment"),
        ]
        permissions = [
            ("report_infraction", "Can report infractions, and cancel the report"),
            ("decide_infraction", "Can bring evidence, escalate and decide infractions"),
        ]
        triggers = [
            end_stays([InfractionStatus.CANCELLED], name="infraction_end_stays"),
            # Whoever reported it may take even a decided one back.
            pgtrigger.Protect(
                name="infraction_closed_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status=InfractionStatus.CLOSED)
                & pgtrigger.Q(new__status__in=OPEN),
            ),
        ]

    def __str__(self) -> str:
        return self.infraction_id

    @property
    def decides(self) -> bool:
        """Return whether it is decided here: the other side is ours, or nobody is known to be."""
        return self.counterparty_ours or not self.reporter_ours

    @property
    def overdue(self) -> bool:
        """Return whether it should have been decided by now."""
        return not self.has_ended and self.due_at < timezone.now()


class InfractionSignal(models.Model):
    """A signal from outside, handled once: evidence, or a decision.

    `outcome`: what became of it. Addresses of evidence are shown, never fetched.
    """

    infraction = models.ForeignKey(Infraction, on_delete=models.PROTECT, related_name="signals")
    key = models.CharField(max_length=160, unique=True, help_text="Run and number of the signal.")
    name = models.CharField(max_length=30)
    decision = models.CharField(max_length=20, blank=True)
    fraud_type = models.CharField(max_length=17, blank=True)
    url = models.CharField(max_length=LONGEST_URL, blank=True)
    text = models.TextField(max_length=LONGEST_DETAILS, blank=True)
    outcome = models.CharField(max_length=20)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["infraction", "id"], name="signals_of_infraction")]

    def __str__(self) -> str:
        return self.key
