"""Drafts: the browser keeps typed text that the server has not accepted yet (`drafts.js`).

The server tells the browser by a cookie, which holds names of forms and no text, that a form was
accepted or that the user signed out. It also redirects a user who submitted a form after the
session's end back to the page with the form.
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

#: The form field with the draft's name; the script adds it.
FIELD = "draft"
COOKIE = "drafts_done"
#: Short-lived: the next page reads and removes the cookie, and a much later page must not find it.
COOKIE_SECONDS = 120
#: The most forms accepted, in several tabs, since the browser last read the cookie.
MOST_NAMES = 5
#: Instead of a name: the user has signed out, so all drafts are deleted.
EVERYTHING = "*"
SEPARATOR = "~"
_NAME = re.compile(r"[A-Za-z0-9:/_.-]{1,200}")
#: URL names of the sign-out pages.
_LEAVING = frozenset({"logout", "account_session_end"})


def draft_keep(request: HttpRequest) -> None:
    """Keep the draft although the response is a redirect: the form was refused."""
    request._draft_accepted = False  # type: ignore[attr-defined]


def draft_accept(request: HttpRequest) -> None:
    """Delete the draft although the response is a page: the input was accepted."""
    request._draft_accepted = True  # type: ignore[attr-defined]


class DraftsMiddleware(MiddlewareMixin):
    """Sets the cookie. Must follow AuthenticationMiddleware. Looks only at responses to forms."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Set the cookie, or correct the `next` of the redirect to the sign-in page."""
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
        # The script reads the cookie, which holds no secret.
        httponly=False,
    )


def _page_of(request: HttpRequest) -> str:
    """Return the page from which the form was sent: a form's own URL often accepts POST only."""
    sender = request.headers.get("Referer", "")
    ours = url_has_allowed_host_and_scheme(
        sender, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    if not ours:
        return ""
    parts = urlsplit(sender)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _leading_to(back: str, to: str) -> str:
    """Return the sign-in URL with another `next`; unchanged if it has none."""
    parts = urlsplit(to)
    query = dict(parse_qsl(parts.query))
    if "next" not in query:
        return to
    return f"{parts.path}?{urlencode({**query, 'next': back})}"
