"""Scopes of the audit trail's API."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key of the API may be for."""

    AUDIT_READ = "audit:read"
