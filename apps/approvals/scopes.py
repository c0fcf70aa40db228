"""API scopes of approvals."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    READ = "approvals:read"
    DECIDE = "approvals:decide"
    WRITE = "approvals:write"
    RULES_WRITE = "rules:write"
