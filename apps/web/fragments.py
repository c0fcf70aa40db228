"""Parts of live pages: who may fetch them, and where a browser goes whose session is over."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast
from urllib.parse import urlencode, urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.views.decorators.vary import vary_on_cookie

from apps.web.denied import Denied, hidden

if TYPE_CHECKING:
    from apps.accounts.models import User

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def person(request: HttpRequest) -> "User":
    """Who is signed in. Only behind `login_required`."""
    return cast("User", request.user)


def fragment(view: "View[P]") -> "View[P]":
    """A part of a page, fetched by a live page. Whose session is over is sent to sign in again.

    A redirect would be followed by the script, and the sign-in page merged into the page.
    """

    @wraps(view)
    @vary_on_cookie
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            response = led_to(resolve_url("login"), request)
        else:
            request._fragment = True  # type: ignore[attr-defined]
            response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response

    return guarded


def in_fragment(request: HttpRequest) -> bool:
    """Whether only a part of a page is asked for: nothing is told there, the page has done so."""
    return getattr(request, "_fragment", False)


def let_in(request: HttpRequest, permission: str, **told: str) -> None:
    """Denied for a page that the person may not see, with what the trail is told (`Denied`)."""
    if permission and not person(request).has_perm(permission):
        raise Denied(permission, **told)


def seen_with(request: HttpRequest, permission: str) -> None:
    """Http404 for a fragment that the person may not see: the page itself says why, with a 403."""
    if permission and not person(request).has_perm(permission):
        raise hidden(Http404(), permission)


def led_to(address: str, request: HttpRequest) -> HttpResponse:
    """401 for the script of a live page: the browser goes to `address`, and from there back to the
    page that is open, or to the first one when the script does not say which that is."""
    try:
        here = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:  # `http://[`: anybody may send anything
        here = urlsplit("")
    back = f"{here.path or '/'}?{here.query}" if here.query else here.path or "/"
    response = HttpResponse(status=401)
    response["HX-Redirect"] = f"{address}?{urlencode({'next': back})}"
    return response
