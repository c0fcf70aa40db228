"""The router to which every module of this package adds its operations."""

from ninja import Router

from apps.approvals.scopes import Scope

router = Router(tags=["approvals"])

#: Scopes of an API key.
READ, DECIDE, WRITE = Scope.READ, Scope.DECIDE, Scope.WRITE
