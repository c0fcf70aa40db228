"""Records of interventions: features of their targets, and outcomes."""

from django.db import models
from django.utils import timezone

from apps.common.amounts import AmountField
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models.interventions import Intervention


class FeatureValue(models.Model):
    """A feature of a target, append-only: the newest row is the value. `key` makes each row
    unique."""

    entity = models.CharField(max_length=200)
    name = models.CharField(max_length=80)
    value = models.DecimalField(max_digits=24, decimal_places=6)
    key = models.CharField(max_length=160, unique=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["entity", "name", "-id"])]

    def __str__(self) -> str:
        return f"{self.entity} {self.name}"


class Outcome(models.Model):
    """The outcome of an intervention. One per intervention, written with its terminal status."""

    intervention = models.OneToOneField(
        Intervention, on_delete=models.PROTECT, related_name="outcome"
    )
    status = models.CharField(max_length=20, choices=[(s, s) for s in InterventionStatus])
    amount = AmountField()
    seconds = models.FloatField(help_text="From the request to its end.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["at"])]

    def __str__(self) -> str:
        return f"{self.status} {self.intervention_id}"
