"""Addresses of the app `approvals`."""

from django.urls import URLPattern, URLResolver, path

from apps.approvals import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("inbox/", views.inbox, name="inbox"),
    path("inbox/live/", views.inbox_live, name="inbox_live"),
    path("requests/<uuid:request_id>/", views.request_page, name="request"),
    path("requests/<uuid:request_id>/live/", views.request_live, name="request_live"),
]
