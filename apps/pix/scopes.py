"""API scopes of Pix keys."""

from enum import StrEnum


class Scope(StrEnum):
    """What an API key may do."""

    PIX_READ = "pix:read"
    PIX_WRITE = "pix:write"
    PIX_DECIDE = "pix:decide"
