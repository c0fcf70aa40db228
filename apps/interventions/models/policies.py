"""Policies, in versions: what may be requested, where, when and how much."""

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.common.amounts import AmountField
from apps.common.language import lazy as _


@pghistory.track(exclude=["updated_at"])
class Policy(models.Model):
    """One version of a policy. An intervention references the version under which it was
    requested."""

    code = models.SlugField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=160)
    currency = models.CharField(max_length=3)
    active = models.BooleanField(default=True)
    reversible = models.BooleanField(
        default=True, help_text="An execution can be undone; if not, the money is gone."
    )
    min_amount = AmountField(null=True, blank=True, help_text="Least of one request.")
    max_amount = AmountField(null=True, blank=True, help_text="Most of one request.")
    target_limit = AmountField(
        null=True,
        blank=True,
        help_text="Most that one target gets under this policy within so many days.",
    )
    target_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Days that the target's limit looks back."
    )
    valid_from = models.DateField(null=True, blank=True, help_text="First day; empty: always was.")
    valid_until = models.DateField(null=True, blank=True, help_text="Last day; empty: no end.")
    regions = ArrayField(
        models.CharField(max_length=6),
        default=list,
        db_default=[],
        blank=True,
        help_text="ISO 3166 codes such as NG or NG-KO; empty: everywhere.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = _("policies")
        constraints = [
            models.UniqueConstraint(fields=["code", "version"], name="policy_version_once"),
            models.UniqueConstraint(
                fields=["code"], condition=Q(active=True), name="one_active_policy"
            ),
            models.CheckConstraint(
                name="policy_limits_in_order", condition=Q(max_amount__gte=F("min_amount"))
            ),
            models.CheckConstraint(
                name="policy_days_in_order", condition=Q(valid_until__gte=F("valid_from"))
            ),
            models.CheckConstraint(
                name="target_limit_with_its_days",
                # Also says "not null", because a comparison with NULL is not false and would pass
                # the check.
                condition=Q(target_limit=None, target_days=None)
                | Q(
                    target_limit__isnull=False,
                    target_days__isnull=False,
                    target_limit__gt=0,
                    target_days__gt=0,
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"
