"""Pages of a person's notifications and their settings."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.common.identifiers import number_of
from apps.notifications import services
from apps.notifications.models import Notification
from apps.web.fragments import fragment, person
from apps.web.lists import counted, listed


@login_required
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    """The user's notifications, newest first; `?unread=1`: only unread ones."""
    return render(request, "notifications/list.html", _list(request))


@fragment
@require_GET
def notifications_live(request: HttpRequest) -> HttpResponse:
    """Fragment: the list and its counts."""
    return render(request, "notifications/_list_live.html", _list(request))


@fragment
@require_GET
def notifications_count(request: HttpRequest) -> HttpResponse:
    """Fragment: the number beside the bell."""
    return render(request, "notifications/_bell.html")


def _list(request: HttpRequest) -> dict[str, Any]:
    mine = Notification.objects.filter(recipient=person(request))
    unread = mine.filter(read_at=None)
    only_unread = request.GET.get("unread") == "1"
    found = listed(request, unread if only_unread else mine)
    return {
        "rows": found["items"],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        "only_unread": only_unread,
        "count_all": counted(mine),
        "count_unread": counted(unread),
        "topic": f"person:{person(request).pk}",
        "query": request.GET.urlencode(),
        "back": request.path.removesuffix("live/")
        + (f"?{request.GET.urlencode()}" if request.GET else ""),
    }


@login_required
@require_POST
def notifications_read(request: HttpRequest) -> HttpResponse:
    """Mark one (`id`) or all of the user's own notifications as read."""
    chosen = request.POST.get("id", "")
    number = number_of(chosen, digits=18)
    if not chosen or number is not None:
        services.notifications_mark_read(
            user=person(request), ids=None if number is None else [number], as_of=timezone.now()
        )
    back = request.POST.get("back", "")
    if back.startswith("/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        return redirect(back)
    return redirect("notifications")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def notification_settings(request: HttpRequest) -> HttpResponse:
    """The user's settings: what they are told in the site and by e-mail."""
    user = person(request)
    if request.method == "POST":
        services.settings_put(
            user=user,
            in_app=request.POST.getlist("in_app"),
            email=request.POST.getlist("email"),
        )
        messages.success(request, "Saved. It holds for everything from now on.")
        return redirect("notification_settings")
    return render(
        request,
        "notifications/settings.html",
        {
            "choices": services.settings_of(user),
            "address": user.email,
            "email_enabled": settings.EMAIL_ENABLED,
        },
    )
