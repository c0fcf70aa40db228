"""Code that several operations share."""

from django.http import HttpRequest

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.errors import NotAllowed
from apps.interventions.services.requests import REQUEST_PERMISSION


def reader(request: HttpRequest, scope: str, permission: str, refusal: str) -> User:
    """Return the caller. Raises NotAllowed `permission_denied` without the permission. Users who
    may request money may also see the budgets and the terms."""
    user = require(request, scope=scope)
    if not (user.has_perm(permission) or user.has_perm(REQUEST_PERMISSION)):
        raise NotAllowed(refusal, code="permission_denied")
    return user
