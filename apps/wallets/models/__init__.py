"""Tables of riders, their wallets, the ledger, and what is paid in. Money is decimal in major units
with a currency beside it."""

from apps.wallets.models.adjustments import WalletAdjustment
from apps.wallets.models.invoices import Invoice, InvoiceContent, InvoiceCounter
from apps.wallets.models.ledger import Account, Journal, JournalLine
from apps.wallets.models.payments import PaymentReview, ProviderTransaction, WebhookEvent
from apps.wallets.models.riders import Rider, Wallet
from apps.wallets.models.topups import PaystackReference, TopUp, TopUpStep

__all__ = [
    "Account",
    "Invoice",
    "InvoiceContent",
    "InvoiceCounter",
    "Journal",
    "JournalLine",
    "PaymentReview",
    "PaystackReference",
    "ProviderTransaction",
    "Rider",
    "TopUp",
    "TopUpStep",
    "Wallet",
    "WalletAdjustment",
    "WebhookEvent",
]
