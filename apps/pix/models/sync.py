"""Synchronisations with the directory, and what the database keeps for them by itself."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    asked_once,
    end_stays,
    status_field,
)
from apps.pix.contracts import KeyType
from apps.pix.contracts.sync import (
    LONGEST_SYNC_TYPE,
    Decision,
    DifferenceKind,
    DifferenceState,
    SyncPhase,
    SyncStatus,
    SyncTrigger,
)
from apps.pix.models.participants import ISPB

OPEN = [SyncStatus.RUNNING, SyncStatus.WAITING]
ENDS = [status for status in SyncStatus if status.ended]


class CidEvent(models.Model):
    """A CID that an entry got or lost; written by the database. Every CID ever had stays here."""

    participant = models.CharField(max_length=8)
    key_type = models.CharField(max_length=5)
    cid = models.BinaryField()
    op = models.CharField(max_length=7, help_text="ADDED or REMOVED.")
    entry = models.UUIDField(help_text="The entry's id: no key, because the entry may go.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            # What was touched since a file was asked for.
            models.Index(fields=["participant", "key_type", "at"], name="cid_events_newest"),
        ]
        triggers = [
            pgtrigger.Protect(name="cid_event_stays", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.op} {bytes(self.cid).hex()}"


class SyncBucket(models.Model):
    """The XOR and number of a participant's CIDs that begin with the same two bytes. Kept by the
    triggers of entries; `manage.py rebuildsync` makes it anew."""

    pk = models.CompositePrimaryKey("participant", "key_type", "bucket")
    participant = models.CharField(max_length=8)
    key_type = models.CharField(max_length=5)
    bucket = models.IntegerField()
    x0 = models.BigIntegerField()
    x1 = models.BigIntegerField()
    x2 = models.BigIntegerField()
    x3 = models.BigIntegerField()
    n = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.participant} {self.key_type} {self.bucket}"


class SyncRunQuerySet(AskedQuerySet["SyncRun"]):
    """Queries that pages, API and admin share."""

    view_permission = "pix.view_syncrun"
    open_statuses = OPEN


class SyncRun(ProcessRow):
    """A synchronisation of one participant: both sides are compared, and ours is repaired."""

    # The daily schedule asks for most of them, and others start workflows by hand.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    participant = models.CharField(max_length=8)
    trigger = models.CharField(max_length=10, choices=[(one, one) for one in SyncTrigger])
    sync_type = models.CharField(
        max_length=LONGEST_SYNC_TYPE,
        blank=True,
        help_text="As it was asked for; FULL: without the log of events.",
    )
    since = models.DateTimeField(
        null=True, blank=True, help_text="The log is read from then on; empty: from the last OK."
    )
    status = status_field(SyncStatus.RUNNING, longest=10)
    phase = models.CharField(
        max_length=12, choices=[(one, one) for one in SyncPhase], default=SyncPhase.VERIFY
    )
    decision = models.CharField(
        max_length=6, choices=[(one, one) for one in Decision], default=Decision.NONE, blank=True
    )
    ends_at = models.DateTimeField(help_text="Its deadline.")
    overdue_at = models.DateTimeField(
        null=True, blank=True, help_text="When a person was told that no run has ended OK."
    )
    report = models.JSONField(default=dict, help_text="What it came to, since it has ended.")

    objects = SyncRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            asked_once("sync_key_once"),
            models.UniqueConstraint(
                fields=["participant"],
                condition=Q(status__in=OPEN),
                name="one_sync_of_a_participant",
            ),
            models.CheckConstraint(name="sync_ispb_shape", condition=Q(participant__regex=ISPB)),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="syncs_newest"),
            models.Index(F("participant"), F("created_at").desc(), F("id").desc(), name="syncs_of"),
            models.Index(
                fields=["participant", "-settled_at"],
                condition=Q(status=SyncStatus.OK),
                name="syncs_ok",
            ),
            models.Index(
                fields=["-settled_at"],
                include=["error_code"],
                condition=Q(status=SyncStatus.FAILED),
                name="syncs_failed",
            ),
        ]
        permissions = [("run_sync", "Can start and stop synchronisations")]
        triggers = [end_stays(ENDS, name="sync_end_stays")]

    def __str__(self) -> str:
        return gettext("Sync of {participant}").format(participant=self.participant)

    # An attention item reads them of every row.
    amount = None
    currency = ""


class SyncVerdict(models.Model):
    """What a run has found of one type of keys, and how far it is with it."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="verdicts")
    key_type = models.CharField(max_length=5, choices=[(one, one) for one in KeyType])
    #: None: not asked yet.
    before = models.BooleanField(null=True, blank=True, help_text="Both sides were equal.")
    after = models.BooleanField(null=True, blank=True, help_text="Both sides are equal.")
    verified_at = models.DateTimeField(
        null=True, blank=True, help_text="Of the last verification, by the directory's clock."
    )
    ours = models.PositiveIntegerField(default=0, help_text="Our entries, at the last look.")
    theirs = models.PositiveIntegerField(null=True, blank=True, help_text="CIDs of the file.")
    # The log.
    log_from = models.DateTimeField(null=True, blank=True)
    log_at = models.DateTimeField(null=True, blank=True, help_text="Read until then.")
    log_seen = models.JSONField(default=list, help_text="Events of that moment: they come again.")
    log_events = models.PositiveIntegerField(default=0)
    log_done = models.BooleanField(default=False)
    # The file.
    #: By our clock, before the directory was asked: what was touched since is not repaired.
    asked_at = models.DateTimeField(null=True, blank=True)
    file_id = models.CharField(max_length=100, blank=True)
    file_bytes = models.BigIntegerField(default=0)
    file_sha256 = models.CharField(max_length=64, blank=True)
    file_asked = models.PositiveSmallIntegerField(default=0, help_text="How often.")
    received = models.BigIntegerField(default=0, help_text="Bytes of the file that are here.")
    whole = models.BooleanField(default=False)
    compared = models.IntegerField(default=0, help_text="Buckets that are compared.")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key_type"], name="sync_verdict_once")
        ]

    def __str__(self) -> str:
        return self.key_type


class SyncChunk(models.Model):
    """A part of a file of CIDs, as it came. Kept until the run has ended."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="chunks")
    key_type = models.CharField(max_length=5)
    offset = models.BigIntegerField(help_text="Bytes of the file before it.")
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "key_type", "offset"], name="sync_chunk_once")
        ]

    def __str__(self) -> str:
        return f"{self.key_type} {self.offset}"


class SyncDifference(models.Model):
    """A CID that only one side has. An entry with other contents is `changed`, once it is known
    that both sides have its key: `cid` is the directory's, `ours` was ours."""

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="differences")
    key_type = models.CharField(max_length=5, choices=[(one, one) for one in KeyType])
    kind = models.CharField(max_length=8, choices=[(one, one) for one in DifferenceKind])
    cid = models.BinaryField()
    ours = models.BinaryField(null=True, blank=True)
    state = models.CharField(
        max_length=8,
        choices=[(one, one) for one in DifferenceState],
        default=DifferenceState.PENDING,
    )
    why = models.CharField(max_length=60, blank=True, help_text="Code: why it was left.")
    detail = models.CharField(max_length=500, blank=True)
    entry = models.UUIDField(null=True, blank=True)
    key = models.CharField(max_length=80, blank=True, help_text="Masked.")
    before = models.JSONField(default=dict, help_text="What stood here, without personal data.")
    after = models.JSONField(default=dict)
    found_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "key_type", "cid", "kind"], name="sync_difference_once"
            )
        ]
        indexes = [
            # What only the directory has comes first: then an entry that changed is known.
            models.Index(fields=["run", "state", "-kind", "id"], name="differences_by_state"),
            models.Index(fields=["run", "id"], name="differences_of_run"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {bytes(self.cid).hex()}"
