"""The home page, and the counts in the header."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.web import dashboard
from apps.web.fragments import fragment, person


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
    """Show the counts of the header."""
    return render(request, "console/_counts.html")
