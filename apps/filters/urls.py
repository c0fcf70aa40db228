"""Addresses of the app `filters`."""

from django.urls import URLPattern, URLResolver, path

from apps.filters import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("filters/<slug:page>/", views.filter_save, name="filter_save"),
    path("filters/<slug:page>/<int:filter_id>/delete/", views.filter_delete, name="filter_delete"),
]
