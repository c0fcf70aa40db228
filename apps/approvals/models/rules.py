"""Rules: the signatures that a kind of request needs, by amount band."""

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


@pghistory.track(exclude=["updated_at"])
class ApprovalRule(models.Model):
    """The signatures that a kind of request needs, by amount band. One active version per scope.

    `bands`: [{"above": "10000.00", "tiers": [{"group": "reviewer", "quorum": 1}], …}, …]; the band
    with the greatest `above` below the amount applies (`above` null: always); without a match no
    signature is needed. Optional per band: `reason_required` (bool), `expires_hours` (clock hours),
    and in working hours after opening `due_hours`, `reminder_hours` (list) and `escalation`
    ({"hours", "group", "senior"}: to a group, or to the senior of the current or last holder).
    """

    kind = models.CharField(max_length=60)
    scope = models.CharField(
        max_length=80, blank=True, help_text="E.g. a policy's code; empty: any"
    )
    version = models.PositiveIntegerField(default=1)
    currency = models.CharField(max_length=3, blank=True)
    bands = models.JSONField(default=list)
    active = models.BooleanField(default=True)
    put_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "scope", "version"], name="rule_version_once"),
            models.UniqueConstraint(
                fields=["kind", "scope"], condition=Q(active=True), name="one_active_rule"
            ),
        ]
        triggers = [
            # Signatures are bound to a rule version, so its content must never change.
            pgtrigger.ReadOnly(
                name="immutable", fields=["kind", "scope", "version", "currency", "bands", "put_by"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.scope or 'any'} v{self.version}"
