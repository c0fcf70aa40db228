"""The services of wallets: what other domains may call, each once by its key.

Each joins the caller's transaction. An amount is above zero, in major units of `currency`.
"""

from apps.wallets.services.ledger import post
from apps.wallets.services.movements import (
    card_charged,
    card_refunded,
    revenue_recognised,
    revenue_returned,
    wallet_pay,
    wallet_refund,
)
from apps.wallets.services.riders import rider_known, rider_names

__all__ = [
    "card_charged",
    "card_refunded",
    "post",
    "revenue_recognised",
    "revenue_returned",
    "rider_known",
    "rider_names",
    "wallet_pay",
    "wallet_refund",
]
