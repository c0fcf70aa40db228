"""The proof that a budget's balances are the sums of its ledger."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Case, DecimalField, F, Sum, When
from django.db.models.functions import Coalesce

from apps.interventions.models import Budget
from apps.interventions.models.budgets import EFFECTS, Effect


@dataclass(frozen=True)
class BudgetProof:
    """The balances beside the sums of the ledger that must equal them."""

    code: str
    total: Decimal
    reserved: Decimal
    spent: Decimal
    ledger_total: Decimal
    ledger_reserved: Decimal
    ledger_spent: Decimal

    @property
    def holds(self) -> bool:
        """Every balance is the sum of its lines, and none is overdrawn."""
        return (
            (self.total, self.reserved, self.spent)
            == (self.ledger_total, self.ledger_reserved, self.ledger_spent)
            and min(self.reserved, self.spent) >= 0
            and self.reserved + self.spent <= self.total
        )


def budget_proof(budget: Budget) -> BudgetProof:
    """Add the ledger up again. One statement: balances and lines of the same moment."""
    sums = {f"ledger_{column}": _added_up(column) for column in Effect._fields}
    rows = Budget.objects.filter(pk=budget.pk).annotate(**sums)
    return BudgetProof(**rows.values("code", *Effect._fields, *sums).get())


def _added_up(column: str) -> Coalesce:
    signs = Case(
        *(
            When(entries__kind=kind, then=getattr(effect, column))
            for kind, effect in EFFECTS.items()
        ),
        output_field=DecimalField(),
    )
    return Coalesce(Sum(F("entries__amount") * signs, output_field=DecimalField()), Decimal(0))
