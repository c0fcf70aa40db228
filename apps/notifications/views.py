"""Pages of a person's notifications and their settings."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.common.identifiers import number_of
from apps.common.language import lazy as _
from apps.notifications import services
from apps.notifications.models import Notification
from apps.web.filters import FilterForm
from apps.web.fragments import fragment, person
from apps.web.lists import counted, exported, files_of, filtered_list
from apps.web.tables import AGE, Column, sorted_by, table

COLUMNS = (
    Column(head=_("What"), value="title", form="title"),
    Column(head=_("Text"), value="text", form="long"),
    AGE,
    Column(
        head=_("Read"), value="read_at", form="act", part="notifications/_read.html", file="read_at"
    ),
)


class NotificationFilter(FilterForm):
    """The tabs of the page, as GET parameters."""

    lookups = {"unread": lambda rows, value, user: rows.filter(read_at=None)}

    unread = forms.BooleanField(required=False)


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


@login_required
@require_POST
def notifications_export(request: HttpRequest, format: str) -> HttpResponseBase:
    """Send the user's notifications as a file."""
    user = person(request)
    form = NotificationFilter(request.GET)
    return exported(
        request,
        form,
        form.matching(Notification.objects.filter(recipient=user), user=user),
        COLUMNS,
        name="notifications",
        format=format,
        order=sorted_by(request, COLUMNS, "newest"),
        back=reverse("notifications"),
    )


def _list(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    mine = Notification.objects.filter(recipient=user)
    form = NotificationFilter(request.GET)
    order = sorted_by(request, COLUMNS, "newest")
    found = filtered_list(request, form, form.matching(mine, user=user), order=order)
    address = reverse("notifications")
    return {
        **found,
        "table": table(
            request,
            found["rows"],
            COLUMNS,
            id="notification-rows",
            caption=gettext("Notifications"),
            order=order,
            default="newest",
            address=address,
            to=lambda row: str(row.url),
            version=lambda row: 2 if row.read_at else 1,
            css=lambda row: "" if row.read_at else "is-unread",
        ),
        "files": files_of("notifications_export", form, order, "newest"),
        "only_unread": form.filtered,
        "count_all": counted(mine),
        "count_unread": counted(mine.filter(read_at=None)),
        "topic": f"person:{user.pk}",
        "back": f"{address}?{request.GET.urlencode()}" if request.GET else address,
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
        messages.success(request, gettext("Saved. It holds for everything from now on."))
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
