"""Scopes of the interventions' and the budgets' API."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key of the API may be for."""

    INTERVENTIONS_READ = "interventions:read"
    INTERVENTIONS_WRITE = "interventions:write"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
