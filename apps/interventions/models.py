"""Policies, budgets with their ledger, interventions, and what became of them.

Money is decimal in major units with a currency beside it.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

import pghistory
import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.identifiers import new_id
from apps.interventions.contracts import InterventionStatus, Step

if TYPE_CHECKING:
    from apps.accounts.models import User

TERMINAL = [s for s in InterventionStatus if s.terminal]
OPEN = [s for s in InterventionStatus if not s.terminal]


@pghistory.track(exclude=["updated_at"])
class Policy(models.Model):
    """One version of a policy. An intervention points at the version it was asked under."""

    code = models.SlugField(max_length=80)
    version = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=160)
    currency = models.CharField(max_length=3)
    active = models.BooleanField(default=True)
    reversible = models.BooleanField(
        default=True, help_text="An execution can be undone; if not, the money is gone."
    )
    max_amount = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(fields=["code", "version"], name="policy_version_once"),
            models.UniqueConstraint(
                fields=["code"], condition=Q(active=True), name="one_active_policy"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class Budget(models.Model):
    """Balances of a ledger. The database refuses an overdraft; the ledger explains every cent."""

    code = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=160)
    currency = models.CharField(max_length=3)
    total = models.DecimalField(max_digits=18, decimal_places=2)
    reserved = models.DecimalField(max_digits=18, decimal_places=2, default=Decimal(0))
    spent = models.DecimalField(max_digits=18, decimal_places=2, default=Decimal(0))
    version = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(name="reserved_not_negative", condition=Q(reserved__gte=0)),
            models.CheckConstraint(name="spent_not_negative", condition=Q(spent__gte=0)),
            models.CheckConstraint(
                name="budget_not_overdrawn", condition=Q(total__gte=F("reserved") + F("spent"))
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def available(self) -> Decimal:
        """What can still be reserved."""
        return self.total - self.reserved - self.spent


class InterventionQuerySet(models.QuerySet["Intervention"]):
    """Reads that several doors share."""

    def visible_to(self, user: "User") -> "InterventionQuerySet":
        """All of them with the view permission, else the person's own."""
        if user.has_perm("interventions.view_intervention"):
            return self.all()
        return self.filter(requested_by=user)

    def for_list(self) -> "InterventionQuerySet":
        """Newest first, with what a row of a list shows: one query."""
        return self.select_related("policy", "budget", "requested_by").order_by(
            "-created_at", "-id"
        )

    def unsettled(self) -> "InterventionQuerySet":
        """Those whose process has not ended."""
        return self.filter(status__in=OPEN)


class Intervention(models.Model):
    """A payment of public money to somebody, from the request to its outcome."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="interventions")
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="interventions")
    amount = models.DecimalField(max_digits=18, decimal_places=2)
    currency = models.CharField(max_length=3)
    target = models.CharField(max_length=200, help_text="Who or what receives it.")
    justification = models.TextField(max_length=5000)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(max_length=120, blank=True)
    request_digest = models.CharField(max_length=64, help_text="Of the body, to tell a repeat.")
    status = models.CharField(
        max_length=20,
        choices=[(s, s) for s in InterventionStatus],
        default=InterventionStatus.PENDING,
    )
    workflow_id = models.CharField(max_length=200, unique=True)
    executor_id = models.CharField(
        max_length=200, blank=True, help_text="The workflow that executes it; no other may."
    )
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    receipt = models.CharField(max_length=120, blank=True, help_text="The executor's reference.")
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    objects = InterventionQuerySet.as_manager()

    class Meta:
        permissions = [
            ("request_intervention", "Can ask for an intervention"),
            ("cancel_intervention", "Can cancel an intervention that somebody else asked for"),
        ]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(name="amount_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="idempotency_key_once",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"]),
            models.Index(fields=["status", "-created_at", "-id"]),
            models.Index(fields=["budget", "-created_at"]),
            models.Index(
                name="intervention_unsettled", fields=["created_at"], condition=Q(status__in=OPEN)
            ),
        ]
        triggers = [
            # The last guard of "terminal states never change", also against raw SQL.
            pgtrigger.Protect(
                name="terminal_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=TERMINAL)
                & pgtrigger.Q(new__status__df=pgtrigger.F("old__status")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.amount:,.2f} to {self.target}"

    @property
    def execution_workflow_id(self) -> str:
        """The saga's own id: a child of the approval workflow."""
        return f"{self.workflow_id}-execution"


class BudgetEntry(models.Model):
    """A line of the append-only ledger. `key` is unique, so a retried step writes no second line.

    An intervention has at most one reservation and at most one settlement of it.
    """

    class Kind(models.TextChoices):
        ALLOCATE = "allocate"
        RESERVE = "reserve"
        RELEASE = "release"
        COMMIT = "commit"

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="entries")
    intervention = models.ForeignKey(
        Intervention, null=True, on_delete=models.PROTECT, related_name="entries"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    amount = models.DecimalField(max_digits=18, decimal_places=2)
    key = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "budget entries"
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(name="entry_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(
                fields=["intervention"], condition=Q(kind="reserve"), name="reserved_once"
            ),
            models.UniqueConstraint(
                fields=["intervention"],
                condition=Q(kind__in=["release", "commit"]),
                name="reservation_settled_once",
            ),
            models.CheckConstraint(
                name="only_allocation_without_intervention",
                condition=Q(kind="allocate") | Q(intervention__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["budget", "-id"])]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class InterventionStep(models.Model):
    """A step of the saga as people see it. The workflow's history remains the truth."""

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        COMPENSATED = "compensated"

    intervention = models.ForeignKey(Intervention, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=30, choices=[(s, s) for s in Step])
    status = models.CharField(max_length=12, choices=Status, default=Status.RUNNING)
    attempts = models.PositiveIntegerField(default=1)
    detail = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["intervention", "name"], name="step_once")]

    def __str__(self) -> str:
        return self.name


class FeatureValue(models.Model):
    """A feature of a target, append-only: the newest row is the value. `key` makes it once."""

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
    """What an intervention came to. One per intervention, written with its terminal status."""

    intervention = models.OneToOneField(
        Intervention, on_delete=models.PROTECT, related_name="outcome"
    )
    status = models.CharField(max_length=20, choices=[(s, s) for s in InterventionStatus])
    amount = models.DecimalField(max_digits=18, decimal_places=2)
    seconds = models.FloatField(help_text="From the request to its end.")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.status} {self.intervention_id}"
