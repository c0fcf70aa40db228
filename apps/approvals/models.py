"""Requests that wait for a person, the versions of what is asked, and who signed."""

from typing import TYPE_CHECKING, Self

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Count, Exists, OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.approvals.contracts import RequestStatus, Verdict
from apps.identifiers import new_id

if TYPE_CHECKING:
    from apps.accounts.models import User

VIEW_PERMISSION = "approvals.view_approvalrequest"
DECIDE_PERMISSION = "approvals.decide_approvalrequest"


@pghistory.track(exclude=["updated_at"])
class ApprovalRule(models.Model):
    """Which signatures a kind of request needs, by amount band. One active version per scope.

    `bands`: [{"above": "10000.00", "tiers": [{"group": "reviewer", "quorum": 1}], …}, …]; the band
    with the greatest `above` below the amount applies (`above` null: always), none: no signature.
    Optional per band: `reason_required` (bool), `expires_hours` (number).
    """

    kind = models.CharField(max_length=60)
    scope = models.CharField(
        max_length=80, blank=True, help_text="E.g. a policy's code; empty: any"
    )
    version = models.PositiveIntegerField(default=1)
    currency = models.CharField(max_length=3, blank=True)
    bands = models.JSONField(default=list)
    active = models.BooleanField(default=True)
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
            # Signatures are bound to a rule version: a version never says something else later.
            pgtrigger.ReadOnly(
                name="immutable", fields=["kind", "scope", "version", "currency", "bands"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.scope or 'any'} v{self.version}"


class ApprovalRequestQuerySet(models.QuerySet["ApprovalRequest"]):
    """The reads that lists are made of."""

    def open(self) -> Self:
        """Waiting for somebody."""
        return self.filter(status=RequestStatus.OPEN)

    def visible_to(self, user: "User | AnonymousUser") -> Self:
        """All for who may view requests, else those that the person asked for."""
        if not user.is_active:
            return self.none()
        if user.has_perm(VIEW_PERMISSION):
            return self
        return self.filter(requested_by=user.pk)

    def mine(self, user: "User | AnonymousUser") -> Self:
        """Open, and the person could sign now: in the current tier's group, and neither the
        requester nor an editor nor a signer of what is asked now."""
        if not user.is_active or not user.has_perm(DECIDE_PERMISSION):
            return self.none()
        edited = PayloadVersion.objects.filter(request=OuterRef("pk"), edited_by=user.pk)
        signed = Signature.objects.filter(
            Q(actor=user.pk) | Q(authority=user.pk),
            request=OuterRef("pk"),
            payload__number=OuterRef("payload_number"),
        )
        return (
            self.open()
            .filter(tier_group__in=user.groups.values("name"))
            .exclude(requested_by=user.pk)
            .filter(~Exists(edited), ~Exists(signed))
        )

    def for_subject(self, *, subject_type: str, subject_id: str) -> Self:
        """What was asked about one object, whatever became of it."""
        return self.filter(subject_type=subject_type, subject_id=subject_id)

    def for_list(self) -> Self:
        """With what a row of a list shows, in one query; `signed` counts in the current tier."""
        signatures = (
            Signature.objects.filter(
                request=OuterRef("pk"),
                payload__number=OuterRef("payload_number"),
                tier=OuterRef("tier_number"),
                verdict=Verdict.APPROVE,
            )
            .order_by()
            .values("request")
            .annotate(number=Count("pk"))
            .values("number")
        )
        return self.select_related("requested_by", "settled_by", "rule").annotate(
            signed=Coalesce(Subquery(signatures), 0)
        )

    def for_detail(self) -> Self:
        """With people, rule, payload versions and signatures, in three queries."""
        return self.select_related("requested_by", "settled_by", "rule").prefetch_related(
            Prefetch("payloads", PayloadVersion.objects.select_related("edited_by")),
            Prefetch("signatures", Signature.objects.select_related("actor", "authority")),
        )


class ApprovalRequest(models.Model):
    """Something that waits for a signature. Rows change only through `services`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.CharField(
        max_length=200, unique=True, help_text="Opened once, however often asked"
    )
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=80)
    workflow_id = models.CharField(max_length=200, blank=True, help_text="Who waits for the answer")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    amount = models.DecimalField(max_digits=18, decimal_places=2, null=True)
    currency = models.CharField(max_length=3, blank=True)
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in RequestStatus], default=RequestStatus.OPEN
    )
    rule = models.ForeignKey(ApprovalRule, null=True, on_delete=models.PROTECT, related_name="+")
    tiers = models.JSONField(
        default=list, help_text="The matched band's tiers, as they were when this was opened."
    )
    tier_number = models.PositiveIntegerField(default=1, help_text="The tier that signs now.")
    tier_group = models.CharField(
        max_length=150, blank=True, help_text="Its group, so that an inbox is one indexed query."
    )
    reason_required = models.BooleanField(default=True)
    payload_number = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Whose signature or cancellation ended it; empty: the engine.",
    )
    settled_reason = models.TextField(blank=True)

    objects = ApprovalRequestQuerySet.as_manager()

    class Meta:
        permissions = [("decide_approvalrequest", "Can sign requests (group decides which)")]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="settled_has_a_time",
                condition=Q(status="open", settled_at=None)
                | (~Q(status="open") & Q(settled_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="amount_not_negative", condition=Q(amount=None) | Q(amount__gte=0)
            ),
            models.CheckConstraint(name="tier_number_from_one", condition=Q(tier_number__gte=1)),
        ]
        indexes = [
            models.Index(
                name="request_open", fields=["-created_at", "-id"], condition=Q(status="open")
            ),
            models.Index(
                name="request_waiting",
                fields=["tier_group", "-created_at", "-id"],
                condition=Q(status="open"),
            ),
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["status", "-created_at", "-id"]),
            models.Index(fields=["kind", "-created_at", "-id"]),
            models.Index(fields=["requested_by", "-created_at", "-id"]),
            models.Index(fields=["subject_type", "subject_id"]),
            models.Index(
                name="request_by_workflow", fields=["workflow_id"], condition=Q(status="open")
            ),
        ]

    def __str__(self) -> str:
        return self.title


class PayloadVersion(models.Model):
    """An immutable version of what is asked. `hash` covers the canonical payload and the rule."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="payloads")
    number = models.PositiveIntegerField(default=1)
    payload = models.JSONField()
    hash = models.CharField(max_length=64)
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "number"], name="payload_number_once")
        ]
        triggers = [
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


#: The last line of four-eyes, whoever writes the row: the services refuse long before it.
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
    RETURN NEW;
"""


class Signature(models.Model):
    """One person's verdict on one payload version. `authority` is on whose behalf it counts."""

    request = models.ForeignKey(
        ApprovalRequest, on_delete=models.PROTECT, related_name="signatures"
    )
    payload = models.ForeignKey(PayloadVersion, on_delete=models.PROTECT, related_name="signatures")
    tier = models.PositiveIntegerField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    authority = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    verdict = models.CharField(max_length=10, choices=[(v, v) for v in Verdict])
    reason = models.TextField(blank=True)
    via = models.CharField(max_length=20)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["payload", "authority"], name="authority_signs_once"),
            models.UniqueConstraint(fields=["payload", "actor"], name="actor_signs_once"),
            models.CheckConstraint(name="tier_from_one", condition=Q(tier__gte=1)),
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
    def on_behalf(self) -> bool:
        return self.actor_id != self.authority_id
