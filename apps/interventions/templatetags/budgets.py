"""Template tags of budgets."""

from decimal import Decimal
from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("interventions/_budget_bar.html")
def budget_bar(budget: Any) -> dict[str, Any]:
    """Spent, reserved and free as one bar with its figures in words."""
    total = budget.total or Decimal(1)
    spent = _percent(budget.spent, total)
    reserved = _percent(budget.reserved, total)
    return {
        "budget": budget,
        "spent_width": f"{spent:.2f}%",
        "reserved_x": f"{spent:.2f}%",
        "reserved_width": f"{reserved:.2f}%",
    }


def _percent(part: Decimal, whole: Decimal) -> float:
    return float(max(Decimal(0), min(Decimal(100), part * 100 / whole))) if whole > 0 else 0.0
