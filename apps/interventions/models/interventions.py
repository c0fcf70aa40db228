"""Interventions and the steps of their sagas."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Left, Upper
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.money import shown
from apps.engine.models_abstract import (
    AskedQuerySet,
    ProcessRow,
    StepRow,
    asked_once,
    end_stays,
    status_field,
)
from apps.interventions.contracts import InterventionStatus, Step
from apps.interventions.models.budgets import Budget
from apps.interventions.models.policies import Policy

TERMINAL = [s for s in InterventionStatus if s.terminal]
OPEN = [s for s in InterventionStatus if not s.terminal]


class InterventionQuerySet(AskedQuerySet["Intervention"]):
    """Queries that pages, API and admin share."""

    view_permission = "interventions.view_intervention"
    open_statuses = OPEN
    listed_with = ("policy", "budget", "requested_by")

    def in_region(self, region: str) -> "InterventionQuerySet":
        """Return interventions in the region; a country covers its subdivisions, as in policies."""
        if "-" in region:
            return self.filter(region=region)
        # The second condition is that of the index, without which PostgreSQL does not use the
        # index.
        return self.alias(country=Left("region", 2)).filter(country=region).exclude(region="")


class Intervention(ProcessRow):
    """A payment of public money to a target, from the request to its outcome."""

    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="interventions")
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="interventions")
    amount = AmountField()
    currency = models.CharField(max_length=3)
    target = models.CharField(max_length=200, help_text="Who or what receives it.")
    justification = models.TextField(max_length=5000)
    region = models.CharField(
        max_length=6, blank=True, db_default="", help_text="ISO 3166, e.g. NG-KO."
    )
    batch = models.ForeignKey(
        "interventions.InterventionBatch",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="interventions",
        help_text="Signed with that batch, on its total.",
    )
    status = status_field(InterventionStatus.PENDING)
    executor_id = models.CharField(
        max_length=200, blank=True, help_text="The workflow that executes it; no other may."
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    receipt = models.CharField(max_length=120, blank=True, help_text="The executor's reference.")

    objects = InterventionQuerySet.as_manager()

    class Meta:
        permissions = [
            ("request_intervention", "Can ask for an intervention"),
            ("cancel_intervention", "Can cancel an intervention that somebody else asked for"),
        ]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(name="amount_positive", condition=Q(amount__gt=0)),
            asked_once("idempotency_key_once"),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["status", "-created_at", "-id"]),
            models.Index(fields=["budget", "-created_at"]),
            # For payments to a target, which a policy may limit.
            models.Index(fields=["target", "policy"]),
            # For recent equal payments, about which a batch warns.
            models.Index(
                name="intervention_paid",
                fields=["target", "amount", "-settled_at"],
                condition=Q(status=InterventionStatus.EXECUTED),
            ),
            # For what failed lately, by its code, and for the list of one code.
            models.Index(
                name="intervention_failed",
                fields=["-settled_at"],
                include=["error_code"],
                condition=Q(status=InterventionStatus.FAILED),
            ),
            models.Index(
                name="intervention_error",
                fields=["error_code", "-created_at", "-id"],
                condition=~Q(error_code=""),
            ),
            # For the list of a region, or of a country with its subdivisions, newest first.
            models.Index(
                name="intervention_region",
                fields=["region", "-created_at", "-id"],
                condition=~Q(region=""),
            ),
            models.Index(
                Left("region", 2),
                F("created_at").desc(),
                F("id").desc(),
                name="intervention_country",
                condition=~Q(region=""),
            ),
            models.Index(
                name="intervention_unsettled", fields=["created_at"], condition=Q(status__in=OPEN)
            ),
            # The site's search, by a part of the name.
            GinIndex(OpClass(Upper("target"), name="gin_trgm_ops"), name="intervention_search"),
        ]
        triggers = [end_stays(TERMINAL, name="terminal_stays")]

    def __str__(self) -> str:
        return gettext("{amount} to {target}").format(
            amount=shown(self.amount, self.currency), target=self.target
        )

    @property
    def execution_workflow_id(self) -> str:
        """Return the saga's workflow id; the saga is a child of the approval workflow."""
        return f"{self.workflow_id}-execution"


class InterventionStep(StepRow):
    """A step of an intervention's saga."""

    intervention = models.ForeignKey(Intervention, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=30, choices=[(s, s) for s in Step])

    class Meta(StepRow.Meta):
        constraints = [models.UniqueConstraint(fields=["intervention", "name"], name="step_once")]
