"""API scopes of saved filters."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    FILTERS_READ = "filters:read"
    FILTERS_WRITE = "filters:write"
