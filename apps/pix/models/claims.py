"""Claims: a key that goes to another participant, or to another owner."""

from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    as_signed,
    asked_once,
    end_stays,
    status_field,
)
from apps.pix.contracts import (
    LONGEST_ID,
    LONGEST_KEY,
    AccountType,
    ClaimStatus,
    ClaimType,
    KeyType,
    Origin,
    OwnerType,
    Role,
)
from apps.pix.models.participants import ISPB
from apps.pix.models.rulebooks import ClaimRulebook

OPEN = [status for status in ClaimStatus if not status.ended]
ENDS = [status for status in ClaimStatus if status.ended]


class ClaimQuerySet(AskedQuerySet["Claim"]):
    """Queries that pages, API and admin share."""

    view_permission = "pix.view_claim"
    open_statuses = OPEN
    listed_with = ("requested_by", "rulebook")


class Claim(ProcessRow):
    """A claim. Others know it by `claim_id`, the directory by an id of its own.

    One row stands for both sides where both participants are ours; which of them acted is in
    `decided_by`, for the directory does not tell them apart where they are one participant.
    """

    # Nobody of the site asked for what was started in the engine, or comes from the directory.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    claim_id = models.CharField(max_length=LONGEST_ID, unique=True)
    directory_id = models.CharField(max_length=LONGEST_ID, blank=True)
    claim_type = models.CharField(max_length=11, choices=[(one, one) for one in ClaimType])
    entry_ref = models.CharField(
        max_length=LONGEST_ID, blank=True, help_text="Id of the entry that is claimed."
    )
    key_type = models.CharField(max_length=5, choices=[(one, one) for one in KeyType], blank=True)
    key = models.CharField(
        max_length=LONGEST_KEY, blank=True, help_text="Without it nothing goes to the directory."
    )
    claimer_ispb = models.CharField(max_length=8)
    donor_ispb = models.CharField(
        max_length=8, blank=True, help_text="Empty until the directory has named it."
    )
    claimer_ours = models.BooleanField(default=False)
    donor_ours = models.BooleanField(default=False)
    branch = models.CharField(max_length=4, blank=True)
    account_number = models.CharField(max_length=20, blank=True)
    account_type = models.CharField(
        max_length=4, choices=[(one, one) for one in AccountType], blank=True
    )
    account_opened_at = models.DateTimeField(null=True, blank=True)
    owner_type = models.CharField(
        max_length=14, choices=[(one, one) for one in OwnerType], blank=True
    )
    tax_id = models.CharField(max_length=14, blank=True)
    name = models.CharField(max_length=150, blank=True)
    trade_name = models.CharField(max_length=100, blank=True)
    rulebook = models.ForeignKey(ClaimRulebook, on_delete=models.PROTECT, related_name="claims")
    status = status_field(ClaimStatus.OPEN, longest=10)
    opened_at = models.DateTimeField(
        null=True, blank=True, help_text="When its workflow opened it: its periods begin then."
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    #: The dates of the directory, where it gave some; else the rulebook's.
    resolution_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="Until then the donor decides."
    )
    completion_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="Before that the claimer cannot complete it."
    )
    possession_ends_at = models.DateTimeField(
        null=True, blank=True, help_text="Until then the claimer completes it."
    )
    confirm_reason = models.CharField(max_length=30, blank=True)
    cancel_reason = models.CharField(max_length=30, blank=True)
    cancelled_by = models.CharField(max_length=7, choices=[(one, one) for one in Role], blank=True)
    #: The decision that is being carried out, or the last one.
    decision = models.CharField(max_length=12, blank=True, help_text="confirm, cancel, complete…")
    decision_reason = models.CharField(max_length=30, blank=True)
    decision_effects = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    decision_leads_to = models.CharField(
        max_length=10, blank=True, help_text="The status after it."
    )
    decided_from = models.CharField(max_length=10, blank=True, help_text="The status before it.")
    decided_by = models.CharField(max_length=7, choices=[(one, one) for one in Role], blank=True)
    decided_via = models.CharField(max_length=20, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    request_id = models.UUIDField(
        default=uuid4, editable=False, help_text="Of the entry that its completion creates."
    )
    directory_status = models.CharField(max_length=20, blank=True)
    directory_modified_at = models.DateTimeField(null=True, blank=True)
    origin = models.CharField(max_length=10, choices=[(one, one) for one in Origin])
    told_at = models.DateTimeField(
        null=True, blank=True, help_text="When the directory and the donor knew of it."
    )
    heard = ArrayField(
        models.CharField(max_length=80),
        default=list,
        blank=True,
        help_text="Signals from outside that were judged.",
    )
    joined = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Other workflows that somebody started for it: they end with its result.",
    )

    objects = ClaimQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            asked_once("claim_key_once"),
            models.UniqueConstraint(
                fields=["directory_id"], condition=~Q(directory_id=""), name="directory_claim_once"
            ),
            models.UniqueConstraint(
                fields=["entry_ref"],
                condition=Q(status__in=OPEN) & ~Q(entry_ref=""),
                name="one_open_claim_of_an_entry",
            ),
            models.UniqueConstraint(
                fields=["key_type", "key"],
                condition=Q(status__in=OPEN) & ~Q(key=""),
                name="one_open_claim_of_a_key",
            ),
            models.CheckConstraint(
                name="claim_ispb_shape",
                condition=Q(claimer_ispb__regex=ISPB)
                & (Q(donor_ispb="") | Q(donor_ispb__regex=ISPB)),
            ),
            models.CheckConstraint(
                name="claim_ended_at",
                condition=Q(status__in=OPEN, settled_at=None)
                | Q(status__in=ENDS, settled_at__isnull=False),
            ),
            models.CheckConstraint(
                name="claim_key_with_its_type", condition=Q(key="") | ~Q(key_type="")
            ),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="claims_newest"),
            models.Index(F("status"), F("resolution_ends_at"), F("id"), name="claims_by_status"),
            models.Index(
                F("requested_by"), F("created_at").desc(), F("id").desc(), name="claims_asked"
            ),
            models.Index(
                F("created_at"), F("id"), condition=Q(status__in=OPEN), name="claims_open"
            ),
        ]
        permissions = [
            ("open_claim", "Can open claims"),
            ("decide_claim", "Can confirm, cancel and complete claims"),
        ]
        triggers = [
            end_stays(ENDS, name="claim_end_stays"),
            as_signed(
                *("claim_id", "claim_type", "entry_ref", "key_type", "key", "claimer_ispb"),
                *("branch", "account_number", "account_type", "owner_type", "tax_id", "name"),
                *("trade_name", "rulebook_id"),
                name="claim_as_opened",
            ),
        ]

    def __str__(self) -> str:
        return self.claim_id

    #: Requests for signatures have an amount; a claim has none.
    amount: None = None
    currency = ""

    @property
    def ours(self) -> tuple[Role, ...]:
        """Return the sides whose participant is ours."""
        sides = ((Role.DONOR, self.donor_ours), (Role.CLAIMER, self.claimer_ours))
        return tuple(role for role, ours in sides if ours)
