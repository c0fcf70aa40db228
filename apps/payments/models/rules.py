"""Business rules: rows, so that they change without a release, and every version is kept."""

import pghistory
import pgtrigger
from django.db import models
from django.utils import timezone

from apps.payments.rules import CHECKS


@pghistory.track(exclude=["updated_at"])
class PaymentRule(models.Model):
    """A rule in force, with its parameters."""

    code = models.CharField(
        max_length=40, unique=True, choices=[(code, code) for code in CHECKS], editable=False
    )
    parameters = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "payments_rule"
        ordering = ["id"]
        triggers = [
            # Processes keep the parameters that they have read by their version; whoever writes
            # them with SQL does not know that.
            pgtrigger.Trigger(
                name="payment_rule_next_version",
                operation=pgtrigger.UpdateOf("parameters"),
                when=pgtrigger.Before,
                condition=pgtrigger.Q(new__version=pgtrigger.F("old__version"))
                & pgtrigger.Q(old__parameters__df=pgtrigger.F("new__parameters")),
                func="NEW.version := OLD.version + 1; RETURN NEW;",
            )
        ]

    def __str__(self) -> str:
        return self.code
