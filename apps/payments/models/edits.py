"""Edits of quarantined events: each a version of its own, which another person signs."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext

from apps.engine.models_abstract import (
    AskedQuerySet,
    AskedRow,
    as_signed,
    asked_once,
    end_stays,
    status_field,
)
from apps.payments.contracts import EditStatus
from apps.payments.differences import FieldClass
from apps.payments.models.quarantine import QuarantinedEvent


class EditQuerySet(AskedQuerySet["QuarantineEdit"]):
    """Queries that pages, API and admin share."""

    view_permission = "payments.view_quarantinedevent"
    open_statuses = [status for status in EditStatus if not status.terminal]
    listed_with = ("event", "requested_by")

    def signed(self) -> "EditQuerySet":
        """Return the signed versions, the newest first."""
        return self.filter(status=EditStatus.SIGNED).order_by("-number")


class QuarantineEdit(AskedRow):
    """A version of a quarantined event that a person has written. The original never changes."""

    event = models.ForeignKey(QuarantinedEvent, on_delete=models.PROTECT, related_name="edits")
    number = models.PositiveIntegerField(help_text="Of the version, from 1.")
    raw = models.BinaryField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of this version.")
    base = models.CharField(max_length=64, help_text="SHA-256 of the event as it came.")
    changes = models.JSONField(help_text="Path, value before and value after, each as JSON.")
    field_class = models.CharField(max_length=10, choices=[(one, one) for one in FieldClass])
    reason = models.TextField(max_length=2000)
    status = status_field(EditStatus.AWAITING_APPROVAL)

    objects = EditQuerySet.as_manager()

    class Meta:
        db_table = "payment_events_quarantine_edit"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["event", "number"], name="quarantine_edit_number"),
            models.UniqueConstraint(
                fields=["event"],
                condition=Q(status="awaiting_approval"),
                name="quarantine_edit_waits_once",
            ),
            asked_once("quarantine_edit_key_once"),
        ]
        indexes = [
            models.Index(F("created_at").desc(), F("id").desc(), name="quarantine_edits_newest")
        ]
        triggers = [
            as_signed(
                *("event_id", "number", "digest", "base", "field_class"),
                name="quarantine_edit_as_signed",
            ),
            # What was written goes with the event's own content, and only as a whole.
            pgtrigger.Protect(
                name="quarantine_edit_content",
                operation=pgtrigger.UpdateOf("raw", "changes", "reason"),
                condition=pgtrigger.Condition(
                    "NOT (NEW.raw = '' AND NEW.changes = '[]'::jsonb AND NEW.reason = '')"
                ),
            ),
            end_stays(
                [status for status in EditStatus if status.terminal],
                name="quarantine_edit_end_stays",
            ),
        ]

    def __str__(self) -> str:
        return gettext("Version {number} of {event}").format(number=self.number, event=self.event)
