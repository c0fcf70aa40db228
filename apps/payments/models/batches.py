"""Batches of payment events, which one workflow carries together."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.payments.contracts import BatchState


class PaymentBatch(models.Model):
    """Events that are carried together. The id is not a number: after a restore the numbers would
    come again, and with them the ids of workflows that have run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    n = models.PositiveIntegerField(help_text="So many events were put into it.")
    state = models.CharField(
        max_length=10,
        choices=[(state, state) for state in BatchState],
        default=BatchState.OPEN,
    )
    workflow_id = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payments_batch"
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "payment batches"
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(state="open"), name="payments_batch_open"
            )
        ]

    def __str__(self) -> str:
        return self.workflow_id


class BatchScores(models.Model):
    """Answers of the inference service for some events of an open batch. They are too large for the
    workflow's history; with the batch they go."""

    batch = models.ForeignKey(PaymentBatch, on_delete=models.CASCADE, related_name="scores")
    step = models.CharField(max_length=30)
    scores = models.JSONField(help_text="Intake's id: the answer's values, or null without one.")

    class Meta:
        db_table = "payments_batch_scores"
        ordering = ["id"]
        verbose_name_plural = "batch scores"

    def __str__(self) -> str:
        return f"{self.batch_id} {self.step}"
