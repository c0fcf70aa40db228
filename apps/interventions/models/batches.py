"""Batches: many interventions that are signed once, on their total."""

import pgtrigger
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils.translation import ngettext

from apps.common.amounts import AmountField
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine.models_abstract import AskedQuerySet, Run, RunItem, as_signed, end_stays
from apps.interventions.contracts import BatchItemStatus, BatchStatus
from apps.interventions.models.budgets import Budget
from apps.interventions.models.interventions import Intervention
from apps.interventions.models.policies import Policy

BATCH_ENDS = [s for s in BatchStatus if s.terminal]


class InterventionBatchQuerySet(AskedQuerySet["InterventionBatch"]):
    """Queries that pages, API and admin share."""

    view_permission = "interventions.view_intervention"
    open_statuses = [s for s in BatchStatus if not s.terminal]


class InterventionBatch(Run):
    """One request for many payments from one budget under one version of a policy."""

    title = models.CharField(max_length=160, blank=True)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="batches")
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="batches")
    currency = models.CharField(max_length=3)
    amount = AmountField(help_text="Sum of the items that are sound.")
    items_digest = models.CharField(max_length=64, help_text="SHA-256 of what is signed.")
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in BatchStatus], default=BatchStatus.PENDING
    )
    started_at = models.DateTimeField(null=True, blank=True, help_text="When it was signed.")

    objects = InterventionBatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("intervention batches")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="batch_key_once",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            GinIndex(OpClass(Upper("title"), name="gin_trgm_ops"), name="batch_search"),
        ]
        triggers = [
            end_stays(BATCH_ENDS, name="batch_end_stays"),
            as_signed(
                *("policy_id", "budget_id", "currency", "amount", "total", "items_digest"),
                name="batch_as_signed",
            ),
        ]

    def __str__(self) -> str:
        return self.title or ngettext(
            "{number} payment, {amount}", "{number} payments, {amount}", self.total
        ).format(number=self.total, amount=shown(self.amount, self.currency))


class BatchItem(RunItem):
    """One payment of a batch. `raw` keeps an invalid payment's input as it was received."""

    batch = models.ForeignKey(InterventionBatch, on_delete=models.PROTECT, related_name="items")
    line = models.PositiveIntegerField(
        default=0, help_text="Where it began in the file; 0: it came from a program."
    )
    amount = AmountField(null=True)
    target = models.CharField(max_length=200, blank=True)
    justification = models.TextField(max_length=5000, blank=True)
    region = models.CharField(max_length=6, blank=True)
    raw = models.JSONField(null=True, blank=True, help_text="As it came, where it was not sound.")
    status = models.CharField(
        max_length=10, choices=[(s, s) for s in BatchItemStatus], default=BatchItemStatus.WAITING
    )
    intervention = models.OneToOneField(
        Intervention, null=True, on_delete=models.PROTECT, related_name="batch_item"
    )

    class Meta:
        ordering = ["batch", "number"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="batch_item_once"),
        ]
        indexes = [models.Index(fields=["batch", "status", "number"])]
        triggers = [
            as_signed(
                *("batch_id", "number", "amount", "target", "justification", "region"),
                name="item_as_signed",
            ),
            pgtrigger.Protect(name="items_stay", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.number}"

    @property
    def named_target(self) -> str:
        """Return the target, or an invalid payment's target as it was received."""
        return self.target or self._came("target")

    @property
    def named_amount(self) -> str:
        """Return an invalid payment's amount as it was received, else an empty text."""
        return "" if self.amount is not None else self._came("amount")

    def _came(self, field: str) -> str:
        value = self.raw.get(field) if isinstance(self.raw, dict) else None
        is_one = isinstance(value, str | int | float) and not isinstance(value, bool)
        return str(value).strip()[:200] if is_one else ""
