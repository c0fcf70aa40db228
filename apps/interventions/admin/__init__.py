"""Admin of interventions, a module for each noun."""

from apps.interventions.admin import batches, budgets, interventions, policies

__all__ = ["batches", "budgets", "interventions", "policies"]
