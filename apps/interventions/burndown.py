"""The burn-down of a budget."""

from datetime import datetime

from apps.common.windows import Period
from apps.interventions.models import Budget
from apps.interventions.models.budgets import EFFECTS
from apps.web import burn_down as chart


def burn_down(budget: Budget, *, as_of: datetime) -> chart.BurnDown | None:
    """Return the chart of the budget's days up to today, or of the last year; None if there is
    nothing to draw."""
    account = chart.Account(
        key=f"budget:{budget.pk}",
        lines=budget.entries.all(),
        frees={kind: effect.free for kind, effect in EFFECTS.items()},
        uses={kind: effect.used for kind, effect in EFFECTS.items()},
        free=budget.available,
        currency=budget.currency,
        period=Period(budget.starts_on, budget.ends_on),
    )
    return chart.burn_down(account, as_of=as_of)
