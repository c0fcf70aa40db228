"""Append-only entries and the seals that chain them.

An entry is inserted unsealed, in the transaction of the verb it records. One sealer gives it a
place in the chain afterwards: chaining inside the transaction would be a global lock.
"""

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.audit.contracts import Outcome
from apps.common.language import lazy as _


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Queries that pages and the API share."""

    def about(self, subject_type: str, subject_id: object) -> "AuditEntryQuerySet":
        """The trail of one object, newest first."""
        return self.filter(subject_type=subject_type, subject_id=str(subject_id)).order_by("-id")


class AuditEntry(models.Model):
    """Who did what to which object, and whether it was allowed.

    `digest` covers a salt and the body; the body and its salt can be erased and the chain still
    verifies. Actors are kept as text: the entry outlives the person's account.
    """

    at = models.DateTimeField(default=timezone.now, editable=False)
    actor_id = models.CharField(max_length=80, blank=True)
    actor_label = models.CharField(max_length=200)
    via = models.CharField(max_length=20, blank=True, help_text="page, api, admin, engine, command")
    action = models.CharField(max_length=80)
    outcome = models.CharField(
        max_length=10, choices=[(one, one.capitalize()) for one in Outcome], default=Outcome.DONE
    )
    code = models.CharField(max_length=60, blank=True, help_text="Error code of a refusal.")
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=80)
    correlation_id = models.CharField(max_length=80, blank=True)
    salt = models.CharField(max_length=64, null=True, editable=False)
    body = models.JSONField(null=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    erased_at = models.DateTimeField(null=True, editable=False)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("audit entries")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["subject_type", "subject_id", "-id"]),
            # In the order that the audit page and its exports read in.
            models.Index(name="entry_newest", fields=["-at", "-id"]),
            models.Index(name="entry_by_actor", fields=["actor_id", "-at", "-id"]),
            models.Index(name="entry_by_action", fields=["action", "-at", "-id"]),
            models.Index(
                name="entry_refused", fields=["-at", "-id"], condition=Q(outcome="refused")
            ),
            models.Index(
                name="entry_by_code", fields=["code", "-at", "-id"], condition=~Q(code="")
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="whole_or_erased",
                condition=Q(body__isnull=False, salt__isnull=False, erased_at__isnull=True)
                | Q(body__isnull=True, salt__isnull=True, erased_at__isnull=False),
            )
        ]
        triggers = [
            # By the database, so that an entry written by any other way is sealed too.
            pgtrigger.Trigger(
                name="enqueue",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func="INSERT INTO audit_auditpending (entry_id) VALUES (NEW.id); RETURN NULL;",
            ),
            pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete),
            # Erasure of a body is the one update there is; everything under the digest stays.
            pgtrigger.Protect(
                name="append_only",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["body", "salt", "erased_at"]),
            ),
            pgtrigger.Protect(
                name="erase_only",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__body__isnull=False)
                | pgtrigger.Q(new__salt__isnull=False)
                | pgtrigger.Q(old__erased_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject_type} {self.subject_id}"


class AuditPending(models.Model):
    """An entry that waits for its seal; removed with the sealing.

    A queue and not a flag or a high-water mark: a transaction that commits late shows ids lower
    than those sealed already, and updating the entries would rewrite them and all their indexes.
    Without a foreign key: an entry that was removed by force leaves its row here as evidence.
    """

    entry = models.OneToOneField(
        AuditEntry,
        primary_key=True,
        db_constraint=False,
        on_delete=models.DO_NOTHING,
        related_name="pending",
    )

    def __str__(self) -> str:
        return f"entry {self.pk} waits"


class AuditSeal(models.Model):
    """An entry's place in the chain; `apps.audit.chain` says what `hash` covers."""

    sequence = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, related_name="seal")
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)
    sealed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"seal {self.sequence}"


class AuditCheck(models.Model):
    """How far the chain was verified while it grows: one row, kept by the relay's leader.

    Two places move on: `sequence` follows the newest seals, `again_sequence` walks the whole chain
    over and over, because what was verified once can be changed afterwards. Neither passes a
    problem: it is found again, and told, until it is gone.
    """

    ONLY = 1

    sequence = models.BigIntegerField(default=0, help_text="Verified up to this seal.")
    hash = models.CharField(max_length=64, blank=True)
    again_sequence = models.BigIntegerField(default=0)
    again_hash = models.CharField(max_length=64, blank=True)
    again_began_at = models.DateTimeField(null=True)
    whole_at = models.DateTimeField(
        null=True, help_text="When the last walk from the first seal on had begun that ended well."
    )
    at = models.DateTimeField(null=True, help_text="When the last turn was.")
    problems = models.JSONField(default=list)
    problem_count = models.PositiveIntegerField(default=0)
    broken_since = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When the log heard of the problems last.")

    class Meta:
        verbose_name = _("chain check")
        constraints = [models.CheckConstraint(name="only_one_check", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"verified up to {self.sequence}"
