"""What several operations of this domain share."""

from django.http import HttpRequest

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.errors import NotAllowed
from apps.interventions.services.requests import REQUEST_PERMISSION


def reader(request: HttpRequest, scope: str, permission: str, refusal: str) -> User:
    """Who calls; NotAllowed `permission_denied` without the permission. Who may ask for money may
    see what there is, and under which terms."""
    user = require(request, scope=scope)
    if not (user.has_perm(permission) or user.has_perm(REQUEST_PERMISSION)):
        raise NotAllowed(refusal, code="permission_denied")
    return user
