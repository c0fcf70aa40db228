"""What several operations of this domain share."""

from typing import Any

from django.http import HttpRequest
from ninja import Schema

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.errors import NotAllowed
from apps.interventions.services.requests import REQUEST_PERMISSION


class ErrorOut(Schema):
    """Why it did not end as asked, or what is missing although it did."""

    code: str
    detail: str


def error_of(row: Any) -> dict[str, str] | None:
    """`ErrorOut` of a row that was asked for; None without an error."""
    if not row.error_code:
        return None
    return {"code": row.error_code, "detail": row.error_detail}


def reader(request: HttpRequest, scope: str, permission: str, refusal: str) -> User:
    """Who calls; NotAllowed `permission_denied` without the permission. Who may ask for money may
    see what there is, and under which terms."""
    user = require(request, scope=scope)
    if not (user.has_perm(permission) or user.has_perm(REQUEST_PERMISSION)):
        raise NotAllowed(refusal, code="permission_denied")
    return user
