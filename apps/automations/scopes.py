"""API scopes of automations."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    AUTOMATIONS_READ = "automations:read"
    AUTOMATIONS_WRITE = "automations:write"
    AUTOMATIONS_RUN = "automations:run"
