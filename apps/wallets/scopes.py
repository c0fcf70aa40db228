"""API scopes of riders and wallets."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    WALLETS_READ = "wallets:read"
    WALLETS_WRITE = "wallets:write"
