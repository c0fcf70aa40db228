"""The home page, the counts in the navigation, and how wide the navigation is."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from apps.console.context import RAIL_COOKIE
from apps.web import dashboard
from apps.web.fragments import fragment, person

RAIL_SECONDS = 365 * 86400


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show what waits for the user, what is late, what failed, and the state of the system."""
    return render(request, "console/home.html", _home(request))


@fragment
@require_GET
def home_live(request: HttpRequest) -> HttpResponse:
    """Show the current parts of the home page."""
    return render(request, "console/_home_live.html", _home(request))


def _home(request: HttpRequest) -> dict[str, Any]:
    return {
        "page": dashboard.page(person(request), as_of=timezone.now()),
        "topics": " ".join(dashboard.topics()),
    }


@fragment
@require_GET
def counts(request: HttpRequest) -> HttpResponse:
    """Show the counts of the navigation and the header."""
    return render(request, "console/_counts.html")


@login_required
@require_POST
def rail(request: HttpRequest) -> HttpResponse:
    """Remember in this browser whether the navigation is a rail of icons, and go back.

    For browsers without scripts: `shell.js` sets the same cookie and keeps the page.
    """
    back = request.POST.get("next", "")
    if not (back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)):
        back = "home"
    response = redirect(back)
    response.set_cookie(
        RAIL_COOKIE,
        "1" if request.POST.get("rail") == "1" else "0",
        max_age=RAIL_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
        # The script sets the cookie, which holds no secret.
        httponly=False,
    )
    return response
