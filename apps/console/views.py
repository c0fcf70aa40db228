"""Home, the counts in the header, notifications."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.console import home as reads
from apps.notifications import services as notification_services
from apps.notifications.models import Notification
from apps.pages import counted, fragment, listed, person


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
    waiting = reads.waiting(user)
    late = reads.late(user, as_of=now)
    failed = reads.failed(user, as_of=now)
    return {
        "waiting": list(waiting[: reads.SHOWN]),
        "waiting_count": counted(waiting),
        "late": list(late[: reads.SHOWN]),
        "late_count": counted(late),
        "failed": list(failed[: reads.SHOWN]),
        "failed_count": counted(failed),
        "parts": reads.machinery(as_of=now),
        "chart": reads.volume(user, as_of=now),
    }


@fragment
@require_GET
def counts(request: HttpRequest) -> HttpResponse:
    """The figures of the header."""
    return render(request, "console/_counts.html")


@login_required
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    """What this person was told, newest first."""
    mine = Notification.objects.filter(recipient=person(request))
    found = listed(request, mine)
    context = {
        "rows": found["items"],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
    }
    return render(request, "console/notifications.html", context)


@login_required
@require_POST
def notifications_read(request: HttpRequest) -> HttpResponse:
    """Mark one (`id`) or all of the person's own notifications as read."""
    chosen = request.POST.get("id", "")
    number = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 19 else None
    if chosen and number is None:
        return redirect("notifications")
    notification_services.notifications_mark_read(
        user=person(request), ids=None if number is None else [number], as_of=timezone.now()
    )
    return redirect("notifications")
