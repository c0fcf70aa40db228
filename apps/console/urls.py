"""Addresses of the app `console`."""

from django.urls import URLPattern, URLResolver, path

from apps.console import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("home/live/", views.home_live, name="home_live"),
    path("counts/", views.counts, name="counts"),
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/read/", views.notifications_read, name="notifications_read"),
]
