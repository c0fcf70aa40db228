"""API of interventions, a module for each noun."""

from apps.interventions.api.batches import router as batches_router
from apps.interventions.api.budgets import router as budgets_router
from apps.interventions.api.features import router as features_router
from apps.interventions.api.interventions import router
from apps.interventions.api.outcomes import router as outcomes_router
from apps.interventions.api.policies import router as policies_router

__all__ = [
    "batches_router",
    "budgets_router",
    "features_router",
    "outcomes_router",
    "policies_router",
    "router",
]
