"""Authentication of API calls: a key in `X-API-Key`, or the session of a signed-in user.

A key takes precedence: a wrong key is 401 even inside a session. Only sessions need the CSRF token,
because only they are sent by the browser without the program's doing.
"""

from typing import Any, cast

from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import AuthenticationError
from ninja.security.apikey import APIKeyHeader
from ninja.security.base import AuthBase
from ninja.utils import check_csrf
from structlog.contextvars import bind_contextvars

from apps.accounts.addresses import client_address
from apps.accounts.models import User
from apps.accounts.scopes import ALL
from apps.accounts.services import api_key_authenticate, api_key_refused
from apps.common.errors import NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _

HEADER = "X-API-Key"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class ApiKey(APIKeyHeader):
    """Authenticates by the header; without it the session decides."""

    param_name = HEADER

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        """Sets request.user and request.scopes; AuthenticationError for a key that is not good,
        TooMany after many of them."""
        if key is None:
            return None
        found = api_key_authenticate(presented=key, as_of=timezone.now())
        if found is None:
            api_key_refused(presented=key, address=client_address(request))
            raise AuthenticationError
        bind_contextvars(user_id=found.user.pk, api_key=found.prefix)
        return _admit(request, found.user, frozenset(found.scopes))


class Session(AuthBase):
    """Authenticates by the session; unsafe methods need the CSRF token in `X-CSRFToken`."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "sessionid"
    csrf = True  # read by the description's page, which then sends the token

    def __call__(self, request: HttpRequest) -> User | None:
        """The person, or None; NotAllowed `csrf_failed`, `mfa_required`."""
        user = request.user
        if not user.is_authenticated or not user.is_active:
            return None
        if request.method not in _SAFE and check_csrf(request) is not None:
            raise NotAllowed(
                _("The CSRF token is missing or wrong: send it in X-CSRFToken."), code="csrf_failed"
            )
        if user.second_factor_due:
            raise NotAllowed(
                _("Your role asks for a second factor: set it up on the security page first."),
                code="mfa_required",
            )
        return _admit(request, user, frozenset({ALL}))


#: `auth=` of the API and its routers.
api_auth: list[Any] = [ApiKey(), Session()]


def authenticate(request: HttpRequest) -> User | None:
    """Authenticate as the API does, for views beside it. Returns the acting user, or None.

    Raises AuthenticationError and TooMany for a bad key, NotAllowed `csrf_failed`, `mfa_required`.
    """
    for method in api_auth:
        if user := method(request):
            return cast(User, user)
    return None


def require(request: HttpRequest, *, scope: str, permission: str | None = None) -> User:
    """Return the acting user, if the key has the scope and the user the permission.

    Raises NotAllowed `scope_missing` or `permission_denied`.
    """
    if not holds(request, scope):
        raise NotAllowed(
            filled(_("The key lacks the scope {scope}."), scope=scope),
            code="scope_missing",
            scope=scope,
        )
    user = cast(User, request.user)
    if permission is not None and not user.has_perm(permission):
        raise NotAllowed(
            filled(
                _("{user} lacks the permission {permission}."), user=user, permission=permission
            ),
            code="permission_denied",
            permission=permission,
        )
    return user


def holds(request: HttpRequest, scope: str) -> bool:
    """Return whether the key has the scope; a session has all."""
    scopes: frozenset[str] = getattr(request, "scopes", frozenset())
    return scope in scopes or ALL in scopes


def _admit(request: HttpRequest, user: User, scopes: frozenset[str]) -> User:
    request.user = user
    request.scopes = scopes  # type: ignore[attr-defined]
    return user
