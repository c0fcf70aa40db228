"""What people typed and the server has not taken yet is kept by their browser (`drafts.js`).

The server tells the browser two things, by a cookie that holds names of forms and nothing that was
typed: a form was accepted, and somebody signed out. And it sends whoever posted a form after their
session was over back to the page with the form on it.
"""

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import url_has_allowed_host_and_scheme

#: Field of a form that says which draft it is; the script puts it there.
FIELD = "draft"
COOKIE = "drafts_done"
#: The next page reads and removes it; one that never comes must not find it much later.
COOKIE_SECONDS = 120
#: Of forms accepted since the browser last read the cookie, in several tabs.
MOST_NAMES = 5
#: In the place of a name: whoever was signed in has left.
EVERYTHING = "*"
SEPARATOR = "~"
_NAME = re.compile(r"[A-Za-z0-9:/_.-]{1,200}")
#: Where a person leaves.
_LEAVING = frozenset({"logout", "account_session_end"})


def draft_keep(request: HttpRequest) -> None:
    """The answer is a redirect, and yet the form was refused: what was typed is still wanted."""
    request._draft_accepted = False  # type: ignore[attr-defined]


def draft_accept(request: HttpRequest) -> None:
    """The answer is a page, and not the form again: what was typed is used."""
    request._draft_accepted = True  # type: ignore[attr-defined]


class DraftsMiddleware(MiddlewareMixin):
    """Stands behind AuthenticationMiddleware. Looks only at the answers to forms."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Sets the cookie, or corrects where signing in again leads to."""
        if request.method != "POST":
            return response
        to = response.get("Location", "") if response.status_code in (302, 303) else ""
        if to and urlsplit(to).path in (resolve_url("login"), reverse("admin:login")):
            match = request.resolver_match
            if match is not None and match.url_name in _LEAVING:
                _tell(request, response, EVERYTHING)
            elif back := _page_of(request):
                response["Location"] = _leading_to(back, to)
            return response
        if getattr(request, "_draft_accepted", bool(to)):
            name = request.POST.get(FIELD, "")
            if _NAME.fullmatch(name):
                _tell(request, response, name)
        return response


def _tell(request: HttpRequest, response: HttpResponseBase, name: str) -> None:
    known = unquote(request.COOKIES.get(COOKIE, "")).split(SEPARATOR)
    names = [one for one in known if _NAME.fullmatch(one) or one == EVERYTHING]
    response.set_cookie(
        COOKIE,
        quote(SEPARATOR.join([*names, name][-MOST_NAMES:]), safe=""),
        max_age=COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
        # The script reads it; it holds no secret.
        httponly=False,
    )


def _page_of(request: HttpRequest) -> str:
    """The page that the form was sent from. Addresses of forms often know POST alone."""
    sender = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(
        sender, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    if not ours:
        return ""
    parts = urlsplit(sender)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _leading_to(back: str, to: str) -> str:
    """The address of the sign-in page with another `next`; one without any stays as it is."""
    parts = urlsplit(to)
    query = dict(parse_qsl(parts.query))
    if "next" not in query:
        return to
    return f"{parts.path}?{urlencode({**query, 'next': back})}"
