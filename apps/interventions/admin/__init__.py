"""The domain in the admin, by noun."""

from apps.interventions.admin import batches, budgets, interventions, policies, records

__all__ = ["batches", "budgets", "interventions", "policies", "records"]
