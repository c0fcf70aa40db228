"""API scopes of interventions and budgets."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    INTERVENTIONS_READ = "interventions:read"
    INTERVENTIONS_WRITE = "interventions:write"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
