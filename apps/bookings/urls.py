"""URLs of trips."""

from django.urls import URLPattern, URLResolver

from apps.bookings.views import bookings, cancellations, manifests, refunds, trips

urlpatterns: list[URLPattern | URLResolver] = [
    *bookings.LIST_PAGE.urls("bookings/"),
    *bookings.FORM_PAGE.urls("bookings/new/"),
    *bookings.DETAIL_PAGE.urls("bookings/<uuid:key>/"),
    *refunds.LIST_PAGE.urls("refunds/"),
    *refunds.FORM_PAGE.urls("refunds/new/"),
    *refunds.DETAIL_PAGE.urls("refunds/<uuid:key>/"),
    *trips.LIST_PAGE.urls("trips/"),
    *trips.DETAIL_PAGE.urls("trips/<uuid:key>/"),
    *manifests.DETAIL_PAGE.urls("trips/<uuid:key>/manifest/"),
    *cancellations.LIST_PAGE.urls("trip-cancellations/"),
    *cancellations.DETAIL_PAGE.urls("trip-cancellations/<uuid:key>/"),
]
