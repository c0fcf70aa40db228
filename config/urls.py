"""Addresses. Each app owns its own; this assembles them."""

from django.contrib import admin
from django.urls import include, path, re_path

from config.api import api, unknown_address

urlpatterns = [
    path("", include("apps.engine.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.console.urls")),
    path("", include("apps.notifications.urls")),
    path("", include("apps.approvals.urls")),
    path("", include("apps.interventions.urls")),
    path("api/v1/", api.urls),
    re_path(r"^api/", unknown_address),
    path("admin/", admin.site.urls),
]
