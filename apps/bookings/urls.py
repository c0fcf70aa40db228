"""URLs of trips."""

from django.urls import URLPattern, URLResolver

from apps.bookings.views import trips

urlpatterns: list[URLPattern | URLResolver] = [
    *trips.LIST_PAGE.urls("trips/"),
    *trips.DETAIL_PAGE.urls("trips/<uuid:key>/"),
]
