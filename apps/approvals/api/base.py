"""The router that every module of this package adds its operations to."""

from ninja import Router

from apps.approvals.scopes import Scope

router = Router(tags=["approvals"])

#: Scopes of a key.
READ, DECIDE, WRITE = Scope.READ, Scope.DECIDE, Scope.WRITE
