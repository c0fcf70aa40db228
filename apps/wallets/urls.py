"""URLs of wallets and the ledger."""

from django.urls import URLPattern, URLResolver, register_converter
from django.urls.converters import StringConverter

from apps.wallets.contracts import USER_ID
from apps.wallets.views import adjustments, ledger, reviews, topups, wallets


class UserIdConverter(StringConverter):
    """A rider's id in an address."""

    regex = USER_ID


register_converter(UserIdConverter, "user_id")

urlpatterns: list[URLPattern | URLResolver] = [
    # No rider's id has a `~`, so this is not a wallet's page.
    *wallets.LIST_PAGE.urls("wallets/", live="wallets/~/live/"),
    *wallets.DETAIL_PAGE.urls("wallets/<user_id:key>/"),
    *wallets.VERBS.urls("wallets/<user_id:key>/"),
    *topups.LIST_PAGE.urls("top-ups/"),
    *topups.FORM_PAGE.urls("top-ups/new/"),
    *topups.DETAIL_PAGE.urls("top-ups/<uuid:key>/"),
    *reviews.DETAIL_PAGE.urls("payment-reviews/<uuid:key>/"),
    *ledger.LIST_PAGE.urls("ledger/"),
    *adjustments.LIST_PAGE.urls("ledger/adjustments/"),
    *adjustments.FORM_PAGE.urls("ledger/adjustments/new/"),
    *adjustments.DETAIL_PAGE.urls("ledger/adjustments/<uuid:key>/"),
    *ledger.DETAIL_PAGE.urls("ledger/<uuid:key>/"),
]
