"""Tables of interventions, a module for each noun. Money is decimal in major units with a currency
beside it."""

from apps.interventions.models.batches import BatchItem, InterventionBatch
from apps.interventions.models.budgets import Budget, BudgetEntry, BudgetTransfer
from apps.interventions.models.interventions import (
    OPEN,
    TERMINAL,
    Intervention,
    InterventionStep,
)
from apps.interventions.models.policies import Policy
from apps.interventions.models.records import FeatureValue, Outcome

__all__ = [
    "OPEN",
    "TERMINAL",
    "BatchItem",
    "Budget",
    "BudgetEntry",
    "BudgetTransfer",
    "FeatureValue",
    "Intervention",
    "InterventionBatch",
    "InterventionStep",
    "Outcome",
    "Policy",
]
