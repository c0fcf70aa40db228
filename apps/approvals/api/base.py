"""The router that every module of this package adds its operations to."""

from ninja import Router

router = Router(tags=["approvals"])

#: Scopes of a key.
READ, DECIDE, WRITE = "approvals:read", "approvals:decide", "approvals:write"
