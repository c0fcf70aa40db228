"""Scopes of the approvals' API."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key of the API may be for."""

    READ = "approvals:read"
    DECIDE = "approvals:decide"
    WRITE = "approvals:write"
    RULES_WRITE = "rules:write"
