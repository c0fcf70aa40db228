"""The API of this domain, by noun."""

from apps.interventions.api.budgets import router as budgets_router
from apps.interventions.api.interventions import router

__all__ = ["budgets_router", "router"]
