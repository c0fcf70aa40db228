"""Addresses of the app `notifications`."""

from django.urls import URLPattern, URLResolver, path

from apps.notifications import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/live/", views.notifications_live, name="notifications_live"),
    path(
        "notifications/list.<str:format>", views.notifications_export, name="notifications_export"
    ),
    path("notifications/count/", views.notifications_count, name="notifications_count"),
    path("notifications/read/", views.notifications_read, name="notifications_read"),
    path("settings/notifications/", views.notification_settings, name="notification_settings"),
]
