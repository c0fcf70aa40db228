"""Fragments of live pages: permissions, and the way to sign in again after the session's end."""

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
    """Return the signed-in user. Only behind `login_required`."""
    return cast("User", request.user)


def fragment(view: "View[P]") -> "View[P]":
    """A part of a page, fetched by a live page. After the session's end the browser must sign in
    again.

    The script would follow a redirect and merge the sign-in page into the page.
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
    """Return whether only a fragment is asked for: then messages and warnings belong to the
    page."""
    return getattr(request, "_fragment", False)


def let_in(request: HttpRequest, permission: str, **told: str) -> None:
    """Raise Denied for a page that the user may not see; `told` are further fields of `Denied`."""
    if permission and not person(request).has_perm(permission):
        raise Denied(permission, **told)


def seen_with(request: HttpRequest, permission: str) -> None:
    """Raise Http404 for a fragment that the user may not see: the page itself gives the 403."""
    if permission and not person(request).has_perm(permission):
        raise hidden(Http404(), permission)


def led_to(address: str, request: HttpRequest) -> HttpResponse:
    """Return a 401 for the script of a live page: the browser goes to `address`, and from there
    back to the open page, or to the home page if the script does not name it."""
    try:
        here = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:  # `http://[`: a client can send anything
        here = urlsplit("")
    back = f"{here.path or '/'}?{here.query}" if here.query else here.path or "/"
    response = HttpResponse(status=401)
    response["HX-Redirect"] = f"{address}?{urlencode({'next': back})}"
    return response
