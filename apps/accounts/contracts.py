"""Scopes of API keys and what authentication leaves on a request. Standard library only."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key is for. It narrows the person's permissions, it never adds to them."""

    ALL = "all"
    INTERVENTIONS_READ = "interventions:read"
    INTERVENTIONS_WRITE = "interventions:write"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    APPROVALS_WRITE = "approvals:write"
    AUDIT_READ = "audit:read"
    WEBHOOKS_WRITE = "webhooks:write"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    RULES_WRITE = "rules:write"
    NOTIFICATIONS_READ = "notifications:read"
    NOTIFICATIONS_WRITE = "notifications:write"


SCOPES: frozenset[str] = frozenset(Scope)
