"""Home, and the counts in the header."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.console import home as reads
from apps.web.fragments import fragment, person
from apps.web.lists import counted


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What waits for me, what is late, what failed, and how the machinery is."""
    return render(request, "console/home.html", _home(request))


@fragment
@require_GET
def home_live(request: HttpRequest) -> HttpResponse:
    """The parts of the home page as they are now."""
    return render(request, "console/_home_live.html", _home(request))


def _home(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    now = timezone.now()
    waiting = reads.waiting(user, as_of=now)
    overdue = reads.overdue(user, as_of=now)
    held = reads.held(user, as_of=now)
    failed = reads.failed(user, as_of=now)
    return {
        "waiting": list(waiting[: reads.SHOWN]),
        "waiting_count": counted(waiting),
        "overdue": list(overdue[: reads.SHOWN]),
        "overdue_count": counted(overdue),
        "held": list(held[: reads.SHOWN]),
        "held_count": counted(held),
        "failed": list(failed[: reads.SHOWN]),
        "failed_count": counted(failed),
        "low_budgets": list(reads.low_budgets(user, as_of=now)[: reads.SHOWN]),
        "acting_for": reads.acting_for(user, as_of=now),
        "represented_by": reads.represented_by(user, as_of=now),
        "parts": reads.machinery(as_of=now),
        "charts": reads.charts(user, as_of=now),
    }


@fragment
@require_GET
def counts(request: HttpRequest) -> HttpResponse:
    """The figures of the header."""
    return render(request, "console/_counts.html")
