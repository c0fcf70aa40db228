"""Entries of the directory, the changes that people and programs ask for, and possession codes."""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from apps.common.identifiers import new_id, uuid_of
from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    StepRow,
    asked_once,
    end_stays,
    status_field,
)
from apps.pix.contracts import (
    LONGEST_ID,
    LONGEST_KEY,
    AccountType,
    ChangeKind,
    ChangeStatus,
    EntryStatus,
    KeyType,
    Origin,
    OwnerType,
)
from apps.pix.models.content_ids import cid_field, entry_triggers
from apps.pix.models.participants import ISPB

LIVE = [status for status in EntryStatus if not status.ended]
OPEN_CHANGES = [status for status in ChangeStatus if not status.ended]


class EntryQuerySet(models.QuerySet["Entry"]):
    """Queries that pages, API and services share."""

    def live(self) -> "EntryQuerySet":
        """Return the entries whose key is taken."""
        return self.filter(status__in=LIVE)

    def named(self, identifier: object) -> "EntryQuerySet":
        """Return the entries of our id or of the one that others know them by, the one that lives
        now first: a key that changed its owner keeps its name."""
        pk = uuid_of(str(identifier))
        known = Q(entry_id=str(identifier)[:LONGEST_ID])
        named = self.filter(known | Q(pk=pk) if pk else known)
        ours = Case(When(pk=pk, then=0), default=1) if pk else Value(1)
        return named.order_by(ours, F("removed_at").desc(nulls_first=True), "-created_at")


class Entry(models.Model):
    """A key of an account. The directory decides who has it; this row is our copy.

    What came from the directory stands here letter by letter: its content id is a hash of it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    entry_id = models.CharField(
        max_length=LONGEST_ID,
        help_text="As others know it. Who gets the key by a claim gets its name as well.",
    )
    key_type = models.CharField(max_length=5, choices=[(one, one) for one in KeyType], blank=True)
    key = models.CharField(
        max_length=LONGEST_KEY,
        blank=True,
        help_text="Empty: the directory has not given it yet, or nobody here knows it.",
    )
    participant = models.CharField(max_length=8)
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
    request_id = models.UUIDField(
        null=True, blank=True, help_text="Of the call that created it: the key of its content id."
    )
    status = status_field(EntryStatus.PENDING, longest=10)
    origin = models.CharField(max_length=10, choices=[(one, one) for one in Origin])
    ownership_at = models.DateTimeField(
        null=True, blank=True, help_text="Since when its owner has it, in any account."
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    cid = cid_field()

    objects = EntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "entries"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["entry_id"], condition=Q(status__in=LIVE), name="entry_name_once"
            ),
            models.UniqueConstraint(
                fields=["key_type", "key"],
                condition=Q(status__in=LIVE) & ~Q(key=""),
                name="key_once",
            ),
            # Two of the same would cancel each other in the verifier.
            models.UniqueConstraint(
                fields=["participant", "key_type", "cid"],
                condition=Q(cid__isnull=False),
                name="cid_once",
            ),
            models.CheckConstraint(name="entry_ispb_shape", condition=Q(participant__regex=ISPB)),
            models.CheckConstraint(name="key_with_its_type", condition=Q(key="") | ~Q(key_type="")),
        ]
        indexes = [
            models.Index(fields=["entry_id"], name="entries_by_name"),
            models.Index(F("created_at").desc(), F("id").desc(), name="entries_newest"),
            models.Index(
                F("participant"), F("created_at").desc(), F("id").desc(), name="entries_of"
            ),
            models.Index(
                fields=["participant", "branch", "account_number", "account_type"],
                condition=Q(status__in=LIVE),
                name="entries_of_account",
            ),
            models.Index(fields=["tax_id"], condition=Q(status__in=LIVE), name="entries_of_owner"),
        ]
        permissions = [
            ("change_keys", "Can create, update and delete keys"),
            ("read_full_key", "Can read keys in full"),
        ]
        triggers = [end_stays([EntryStatus.REMOVED], name="entry_end_stays"), *entry_triggers()]

    def __str__(self) -> str:
        return self.entry_id

    @property
    def has_ended(self) -> bool:
        """Return whether the key is free again."""
        return self.status not in LIVE


class EntryChangeQuerySet(AskedQuerySet["EntryChange"]):
    """Queries that pages, API and admin share."""

    view_permission = "pix.view_entrychange"
    open_statuses = OPEN_CHANGES
    listed_with = ("requested_by", "entry")


class EntryChange(ProcessRow):
    """A creation, update or deletion of an entry in the directory, carried by its workflow."""

    # Nobody of the site asked for what was started in the engine.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=6, choices=[(one, one) for one in ChangeKind])
    reason = models.CharField(max_length=30, help_text="In the directory's words.")
    values = models.JSONField(default=dict, help_text="Columns of the entry after an update.")
    # The directory takes random ones alone: version 4.
    request_id = models.UUIDField(default=uuid4, editable=False)
    status = status_field(ChangeStatus.RUNNING, longest=10)
    origin = models.CharField(max_length=10, choices=[(one, one) for one in Origin])

    objects = EntryChangeQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            asked_once("entry_change_key_once"),
            models.UniqueConstraint(
                fields=["entry"],
                condition=Q(status__in=OPEN_CHANGES),
                name="one_change_of_an_entry",
            ),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="changes_newest"),
            models.Index(
                F("entry"), F("created_at").desc(), F("id").desc(), name="changes_of_entry"
            ),
            models.Index(
                F("created_at"), F("id"), condition=Q(status__in=OPEN_CHANGES), name="changes_open"
            ),
            models.Index(
                fields=["-settled_at"],
                include=["error_code"],
                condition=Q(status=ChangeStatus.FAILED),
                name="changes_failed",
            ),
        ]
        triggers = [end_stays([s for s in ChangeStatus if s.ended], name="entry_change_end_stays")]

    def __str__(self) -> str:
        return self.workflow_id

    # A review item has the amount of what it is about; a key has none.
    amount, currency = None, ""

    @property
    def call_key(self) -> str:
        """Return the key of its call to the directory."""
        return f"entry_change:{self.pk}:{self.kind}"


class EntryChangeStep(StepRow):
    """A step of a change."""

    change = models.ForeignKey(EntryChange, on_delete=models.CASCADE, related_name="steps")

    class Meta(StepRow.Meta):
        constraints = [
            models.UniqueConstraint(fields=["change", "name"], name="entry_change_step_once")
        ]


class PossessionCode(models.Model):
    """A code that was sent to a phone or mailbox, to prove that whoever asks has it.

    The code itself is kept nowhere: only its hash.
    """

    change = models.OneToOneField(EntryChange, on_delete=models.CASCADE, related_name="code")
    hashed = models.CharField(max_length=200)
    tries = models.PositiveSmallIntegerField(default=0, help_text="Wrong ones.")
    sent_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    proved_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return str(self.change_id)
