"""Before every page of a signed-in user: record the session, require a missing second factor.

Both are read with the user's row. A request without a session or with an API key costs no query."""

from functools import cache
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

from apps.accounts import services
from apps.accounts.addresses import client_address
from apps.web.fragments import led_to

#: Where somebody may go who owes a second factor: set it up, confirm who they are, leave.
#: Static files are served before this; the API and websockets refuse for themselves.
OPEN = ("mfa_activate_totp", "account_reauthenticate", "login", "logout")
API = "/api/"


class SignedInMiddleware(MiddlewareMixin):
    """Stands behind Django's AuthenticationMiddleware."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Redirect to the set-up of the second factor while it is missing."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        api = request.path_info.startswith(API)
        if api and "X-API-Key" in request.headers:
            return None
        user = request.user
        if not user.is_authenticated:
            return None
        key = request.session.session_key
        if key:
            services.session_seen(
                session_key=key,
                user=user,
                address=client_address(request),
                user_agent=request.headers.get("User-Agent", ""),
            )
        if not user.second_factor_due or api or request.path_info in _open():
            return None
        return _to_the_second_factor(request)


@cache
def _open() -> frozenset[str]:
    return frozenset(reverse(name) for name in OPEN)


def _to_the_second_factor(request: HttpRequest) -> HttpResponse:
    setup = reverse("mfa_activate_totp")
    if "HX-Request" in request.headers:
        # A redirect would be followed by the script, and that page merged into this one.
        return led_to(setup, request)
    back = request.get_full_path() if request.method in ("GET", "HEAD") else "/"
    query = urlencode({"next": back}) if back != "/" else ""
    return HttpResponseRedirect(f"{setup}?{query}" if query else setup)
