"""Tables of riders, their wallets and the ledger. Money is decimal in major units with a currency
beside it."""

from apps.wallets.models.adjustments import WalletAdjustment
from apps.wallets.models.ledger import Account, Journal, JournalLine
from apps.wallets.models.riders import Rider, Wallet

__all__ = ["Account", "Journal", "JournalLine", "Rider", "Wallet", "WalletAdjustment"]
