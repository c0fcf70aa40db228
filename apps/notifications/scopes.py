"""Scopes of the API of notifications and webhooks."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key of the API may be for."""

    READ = "notifications:read"
    WRITE = "notifications:write"
    WEBHOOKS_WRITE = "webhooks:write"
