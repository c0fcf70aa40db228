"""The domain in the admin, by noun."""

from apps.interventions.admin import batches, budgets, interventions, policies

__all__ = ["batches", "budgets", "interventions", "policies"]
