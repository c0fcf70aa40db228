"""Signatures: who signed which version of the payload."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.approvals import kinds
from apps.approvals.contracts import Verdict
from apps.approvals.models.delegations import Delegation
from apps.approvals.models.requests import ApprovalRequest, PayloadVersion

#: The trigger enforces the four-eyes rule for every writer. Services refuse earlier.
FOUR_EYES = """
    IF NOT EXISTS (
        SELECT 1 FROM approvals_approvalrequest r
        JOIN approvals_payloadversion p ON p.request_id = r.id AND p.number = r.payload_number
        WHERE r.id = NEW.request_id AND r.status = 'open' AND p.id = NEW.payload_id
    ) THEN
        RAISE EXCEPTION 'four eyes: not the current payload of an open request'
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT 1 FROM approvals_approvalrequest r WHERE r.id = NEW.request_id
        AND r.requested_by_id IN (NEW.actor_id, NEW.authority_id)
    ) OR EXISTS (
        SELECT 1 FROM approvals_payloadversion p WHERE p.request_id = NEW.request_id
        AND p.edited_by_id IN (NEW.actor_id, NEW.authority_id)
    ) OR EXISTS (
        SELECT 1 FROM approvals_signature s WHERE s.payload_id = NEW.payload_id
        AND (s.actor_id IN (NEW.actor_id, NEW.authority_id)
             OR s.authority_id IN (NEW.actor_id, NEW.authority_id))
    ) THEN
        RAISE EXCEPTION 'four eyes: requester, editor or earlier signer'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.delegation_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM approvals_delegation d WHERE d.id = NEW.delegation_id
        AND d.delegator_id = NEW.authority_id AND d.delegate_id = NEW.actor_id
        AND d.revoked_at IS NULL AND d.starts_at <= NEW.at AND NEW.at < d.ends_at
    ) THEN
        RAISE EXCEPTION 'four eyes: the delegation does not cover this signature'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
"""


class Signature(models.Model):
    """One user's verdict on one payload version. `authority` is the user on whose behalf it
    counts."""

    request = models.ForeignKey(
        ApprovalRequest, on_delete=models.PROTECT, related_name="signatures"
    )
    payload = models.ForeignKey(PayloadVersion, on_delete=models.PROTECT, related_name="signatures")
    tier = models.PositiveIntegerField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    authority = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    delegation = models.ForeignKey(
        Delegation, null=True, blank=True, on_delete=models.PROTECT, related_name="signatures"
    )
    verdict = models.CharField(max_length=10, choices=[(v, v) for v in Verdict])
    reason = models.TextField(blank=True)
    reason_code = models.CharField(max_length=60, blank=True, help_text="Of the kind's reasons")
    via = models.CharField(max_length=20)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["payload", "authority"], name="authority_signs_once"),
            models.UniqueConstraint(fields=["payload", "actor"], name="actor_signs_once"),
            models.CheckConstraint(name="tier_from_one", condition=Q(tier__gte=1)),
            models.CheckConstraint(
                name="on_behalf_by_delegation",
                condition=Q(actor=F("authority"), delegation=None)
                | (~Q(actor=F("authority")) & Q(delegation__isnull=False)),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="four_eyes",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=FOUR_EYES,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.actor}"

    @property
    def reason_label(self) -> str:
        """Return the coded reason's label; empty without a code."""
        return kinds.reason_label(self.request.kind, self.verdict, self.reason_code)

    @property
    def on_behalf(self) -> bool:
        return self.actor_id != self.authority_id
