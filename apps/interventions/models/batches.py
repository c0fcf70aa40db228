"""Batches: many interventions that are signed once, on their total."""

from typing import TYPE_CHECKING

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.common.money import shown
from apps.interventions.contracts import BatchItemStatus, BatchStatus
from apps.interventions.models.budgets import Budget
from apps.interventions.models.interventions import Intervention
from apps.interventions.models.policies import Policy

if TYPE_CHECKING:
    from apps.accounts.models import User

BATCH_ENDS = [s for s in BatchStatus if s.terminal]


class InterventionBatchQuerySet(models.QuerySet["InterventionBatch"]):
    """Reads that several doors share."""

    def visible_to(self, user: "User") -> "InterventionBatchQuerySet":
        """All of them with the view permission of interventions, else the person's own."""
        if user.has_perm("interventions.view_intervention"):
            return self.all()
        return self.filter(requested_by=user)

    def unsettled(self) -> "InterventionBatchQuerySet":
        """Those that a workflow ought to carry."""
        return self.exclude(status__in=BATCH_ENDS)


class InterventionBatch(models.Model):
    """One request for many payments from one budget under one version of a policy."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    title = models.CharField(max_length=160, blank=True)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="batches")
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="batches")
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(
        max_digits=18, decimal_places=2, help_text="Sum of the items that are sound."
    )
    total = models.PositiveIntegerField(help_text="Items.")
    items_digest = models.CharField(max_length=64, help_text="SHA-256 of what is signed.")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(max_length=120, blank=True)
    request_digest = models.CharField(max_length=64, help_text="Of the body, to tell a repeat.")
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in BatchStatus], default=BatchStatus.PENDING
    )
    workflow_id = models.CharField(max_length=200, unique=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True, help_text="When it was signed.")
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = InterventionBatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "intervention batches"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="batch_key_once",
            ),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"])]
        triggers = [
            pgtrigger.Protect(
                name="batch_end_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=BATCH_ENDS)
                & pgtrigger.Q(new__status__df=pgtrigger.F("old__status")),
            ),
            # What is signed never changes, also not by raw SQL.
            pgtrigger.Protect(
                name="batch_as_signed",
                operation=pgtrigger.UpdateOf(
                    "policy_id", "budget_id", "currency", "amount", "total", "items_digest"
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.total} payments, {shown(self.amount, self.currency)}"


class BatchItem(models.Model):
    """One payment of a batch. What was wrong with it when it came is kept as it came, in `raw`."""

    batch = models.ForeignKey(InterventionBatch, on_delete=models.PROTECT, related_name="items")
    number = models.PositiveIntegerField(help_text="Its place, from 1.")
    line = models.PositiveIntegerField(
        default=0, help_text="Where it began in the file; 0: it came from a program."
    )
    amount = models.DecimalField(max_digits=18, decimal_places=2, null=True)
    target = models.CharField(max_length=200, blank=True)
    justification = models.TextField(max_length=5000, blank=True)
    region = models.CharField(max_length=6, blank=True)
    raw = models.JSONField(null=True, blank=True, help_text="As it came, where it was not sound.")
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in BatchItemStatus], default=BatchItemStatus.WAITING
    )
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    intervention = models.OneToOneField(
        Intervention, null=True, on_delete=models.PROTECT, related_name="batch_item"
    )
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["batch", "number"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="batch_item_once"),
        ]
        indexes = [models.Index(fields=["batch", "status", "number"])]
        triggers = [
            pgtrigger.Protect(
                name="item_as_signed",
                operation=pgtrigger.UpdateOf(
                    "batch_id", "number", "amount", "target", "justification", "region"
                ),
            ),
            pgtrigger.Protect(name="items_stay", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.number}"

    @property
    def named_target(self) -> str:
        """Whom it names, also where it was not sound: as it came."""
        return self.target or self._came("target")

    @property
    def named_amount(self) -> str:
        """The amount as it came, of one that was not sound."""
        return "" if self.amount is not None else self._came("amount")

    def _came(self, field: str) -> str:
        value = self.raw.get(field) if isinstance(self.raw, dict) else None
        is_one = isinstance(value, str | int | float) and not isinstance(value, bool)
        return str(value).strip()[:200] if is_one else ""
