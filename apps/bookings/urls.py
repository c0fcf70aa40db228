"""URLs of trips."""

from django.urls import URLPattern, URLResolver

from apps.bookings.views import bookings, trips

urlpatterns: list[URLPattern | URLResolver] = [
    *bookings.LIST_PAGE.urls("bookings/"),
    *bookings.FORM_PAGE.urls("bookings/new/"),
    *bookings.DETAIL_PAGE.urls("bookings/<uuid:key>/"),
    *trips.LIST_PAGE.urls("trips/"),
    *trips.DETAIL_PAGE.urls("trips/<uuid:key>/"),
]
