"""The domain in the admin, by noun."""

from apps.interventions.admin import budgets, interventions, policies, records

__all__ = ["budgets", "interventions", "policies", "records"]
