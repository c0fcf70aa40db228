"""API scopes of payment events."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
