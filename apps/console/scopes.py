"""API scopes of the audit trail."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    AUDIT_READ = "audit:read"
