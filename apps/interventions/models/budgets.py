"""Budgets by period, their append-only ledger, and transfers between them.

Money is decimal in major units with a currency beside it.
"""

from datetime import date
from decimal import Decimal
from typing import NamedTuple, Self

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.amounts import AmountField
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.common.windows import Period
from apps.engine.models_abstract import (
    AskedQuerySet,
    AskedRow,
    as_signed,
    asked_once,
    end_stays,
    status_field,
)
from apps.interventions.contracts import TransferStatus

TRANSFER_ENDS = [s for s in TransferStatus if s.terminal]


class DateRange(Func):
    """daterange(first, last, '[]'): includes both days; NULL means no limit."""

    function = "DATERANGE"
    output_field = DateRangeField()


def falls_short(*, total: Decimal, free: Decimal, percent: int) -> bool:
    """Return whether less than `percent` of the total is available; never true of a budget without
    money."""
    return free * 100 < total * percent


class BudgetQuerySet(models.QuerySet["Budget"]):
    """Queries that pages, API and admin share."""

    def open_on(self, day: date) -> Self:
        """Return budgets whose period includes the day."""
        return self.filter(
            Q(starts_on=None) | Q(starts_on__lte=day), Q(ends_on=None) | Q(ends_on__gte=day)
        )

    def low(self) -> Self:
        """Return budgets with less available than the share below which people are notified."""
        return self.annotate(free=F("total") - F("reserved") - F("spent")).filter(
            free__lt=F("total") * F("alert_percent") / Value(Decimal(100))
        )


class Budget(models.Model):
    """The balances of a ledger. The database refuses an overdraft; the ledger explains every
    cent."""

    code = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=160)
    currency = models.CharField(max_length=3)
    total = AmountField()
    reserved = AmountField(default=Decimal(0))
    spent = AmountField(default=Decimal(0))
    series = models.SlugField(
        max_length=80,
        blank=True,
        db_default="",
        help_text="What it is a period of, e.g. relief-north.",
    )
    starts_on = models.DateField(null=True, blank=True, help_text="First day; empty: always was.")
    ends_on = models.DateField(null=True, blank=True, help_text="Last day; empty: no end.")
    alert_percent = models.PositiveSmallIntegerField(
        default=10,
        db_default=10,
        help_text="Tell people when less than this share of it is free; 0: never.",
    )
    version = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = BudgetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="budget_days_in_order", condition=Q(ends_on__gte=F("starts_on"))
            ),
            models.CheckConstraint(
                name="alert_is_a_percentage", condition=Q(alert_percent__lte=100)
            ),
            ExclusionConstraint(
                name="periods_of_a_series_apart",
                expressions=[
                    ("series", RangeOperators.EQUAL),
                    (DateRange("starts_on", "ends_on", Value("[]")), RangeOperators.OVERLAPS),
                ],
                condition=~Q(series=""),
            ),
            models.CheckConstraint(name="reserved_not_negative", condition=Q(reserved__gte=0)),
            models.CheckConstraint(name="spent_not_negative", condition=Q(spent__gte=0)),
            models.CheckConstraint(
                name="budget_not_overdrawn", condition=Q(total__gte=F("reserved") + F("spent"))
            ),
        ]
        indexes = [
            GinIndex(
                OpClass(Upper("code"), name="gin_trgm_ops"),
                OpClass(Upper("name"), name="gin_trgm_ops"),
                name="budget_search",
            )
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def available(self) -> Decimal:
        """Return the amount that can still be reserved."""
        return self.total - self.reserved - self.spent

    @property
    def is_low(self) -> bool:
        """Return whether less is available than the share below which people are notified."""
        return falls_short(total=self.total, free=self.available, percent=self.alert_percent)

    def is_open_on(self, day: date) -> bool:
        """Return whether the period includes the day."""
        return Period(self.starts_on, self.ends_on).has(day)

    @property
    def period(self) -> str:
        """Return the days in words; empty if there is neither a first nor a last day."""
        return Period(self.starts_on, self.ends_on).words


class Effect(NamedTuple):
    """What a kind of line adds to each balance, as a factor of its amount: 1, -1 or 0."""

    total: int = 0
    reserved: int = 0
    spent: int = 0

    @property
    def used(self) -> int:
        """Return the factor for reserved and spent money together."""
        return self.reserved + self.spent

    @property
    def free(self) -> int:
        """Return the factor for the available money."""
        return self.total - self.used


class BudgetEntry(models.Model):
    """A line of the append-only ledger. `key` is unique, so a repeated step writes no second line.

    An intervention has at most one reservation and at most one settlement of it.
    """

    class Kind(models.TextChoices):
        """Kinds of lines."""

        # The labels are the words of the bar of amounts.
        ALLOCATE = "allocate", _("allocated")
        RESERVE = "reserve", _("reserved")
        RELEASE = "release", _("released")
        COMMIT = "commit", _("spent")
        TRANSFER_OUT = "transfer_out", _("moved out")
        TRANSFER_IN = "transfer_in", _("moved in")

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="entries")
    intervention = models.ForeignKey(
        "interventions.Intervention", null=True, on_delete=models.PROTECT, related_name="entries"
    )
    transfer = models.ForeignKey(
        "interventions.BudgetTransfer", null=True, on_delete=models.PROTECT, related_name="entries"
    )
    kind = models.CharField(max_length=12, choices=Kind)
    amount = AmountField()
    key = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = _("budget entries")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(name="entry_positive", condition=Q(amount__gt=0)),
            models.UniqueConstraint(
                fields=["intervention"], condition=Q(kind="reserve"), name="reserved_once"
            ),
            models.UniqueConstraint(fields=["transfer", "kind"], name="transfer_line_once"),
            models.UniqueConstraint(
                fields=["intervention"],
                condition=Q(kind__in=["release", "commit"]),
                name="reservation_settled_once",
            ),
            models.CheckConstraint(
                name="line_names_its_cause",
                condition=Q(kind="allocate", intervention=None, transfer=None)
                | Q(
                    kind__in=["transfer_out", "transfer_in"],
                    intervention=None,
                    transfer__isnull=False,
                )
                | Q(
                    kind__in=["reserve", "release", "commit"],
                    intervention__isnull=False,
                    transfer=None,
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["budget", "-id"]),
            # An index-only scan adds up the sums of a day.
            models.Index(name="ledger_by_day", fields=["budget", "at"], include=["kind", "amount"]),
            # Without this index a filter by a rare kind would read the whole ledger. The frequent
            # kinds are left out: their lines are found quickly, and every reservation would write
            # here.
            models.Index(
                name="ledger_rare_kinds",
                fields=["budget", "kind", "-id"],
                condition=Q(kind__in=["allocate", "release", "transfer_out", "transfer_in"]),
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


#: The effect of each kind of line on its budget's balances. Nothing else changes them.
EFFECTS: dict[str, Effect] = {
    BudgetEntry.Kind.ALLOCATE: Effect(total=1),
    BudgetEntry.Kind.TRANSFER_IN: Effect(total=1),
    BudgetEntry.Kind.TRANSFER_OUT: Effect(total=-1),
    BudgetEntry.Kind.RESERVE: Effect(reserved=1),
    BudgetEntry.Kind.RELEASE: Effect(reserved=-1),
    BudgetEntry.Kind.COMMIT: Effect(reserved=-1, spent=1),
}


class TransferQuerySet(AskedQuerySet["BudgetTransfer"]):
    """Queries that pages, API and admin share."""

    view_permission = "interventions.view_budgettransfer"
    open_statuses = [s for s in TransferStatus if not s.terminal]
    listed_with = ("source", "destination", "requested_by")

    def touching(self, code: str) -> Self:
        """Return transfers from or to the budget of that code."""
        return self.filter(Q(source__code=code) | Q(destination__code=code))


class BudgetTransfer(AskedRow):
    """A requested transfer of money from one budget to another; a signature moves the money."""

    source = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="transfers_out")
    destination = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="transfers_in")
    amount = AmountField()
    currency = models.CharField(max_length=3)
    reason = models.TextField(max_length=2000)
    status = status_field(TransferStatus.AWAITING_APPROVAL)

    objects = TransferQuerySet.as_manager()

    class Meta:
        permissions = [("request_budgettransfer", "Can ask for a transfer between budgets")]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(name="transfer_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="transfer_between_two", condition=~Q(source=F("destination"))
            ),
            asked_once("transfer_key_once"),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"])]
        triggers = [
            as_signed(
                *("source_id", "destination_id", "amount", "currency", "reason"),
                name="transfer_as_signed",
            ),
            end_stays(TRANSFER_ENDS, name="transfer_end_stays"),
        ]

    def __str__(self) -> str:
        return gettext("{amount} from {source} to {destination}").format(
            amount=shown(self.amount, self.currency),
            source=self.source_id,
            destination=self.destination_id,
        )
