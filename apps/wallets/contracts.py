"""What crosses between wallets and their callers. Standard library only."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

#: What a rider's id is made of. It is part of addresses and of workflow ids.
USER_ID = r"[A-Za-z0-9._@-]{1,80}"
#: Kind of approval.
ADJUSTMENT_KIND = "wallet.adjustment"


class AccountKind(StrEnum):
    """Kinds of accounts. Each currency has one of each, and each rider a wallet."""

    WALLET = "wallet"
    PREPAID = "prepaid"
    REVENUE = "revenue"
    PAYSTACK = "paystack"
    CARD = "card"
    SUSPENSE = "suspense"
    ADJUSTMENT = "adjustment"


class JournalKind(StrEnum):
    """Why money was moved."""

    PAYMENT = "payment"
    REFUND = "refund"
    CARD_CHARGE = "card_charge"
    CARD_REFUND = "card_refund"
    REVENUE = "revenue"
    ADJUSTMENT = "adjustment"
    TOP_UP = "top_up"
    SUSPENSE = "suspense"


class WalletStatus(StrEnum):
    """Status of a wallet. A frozen one takes money and gives none."""

    ACTIVE = "active"
    FROZEN = "frozen"


class AdjustmentStatus(StrEnum):
    """Status of an adjustment."""

    AWAITING_APPROVAL = "awaiting_approval"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self is not AdjustmentStatus.AWAITING_APPROVAL


@dataclass(frozen=True)
class RiderFacts:
    """A rider and the wallet as they are now; `balance` in major units of `currency`."""

    user_id: str
    name: str
    email: str
    currency: str
    status: WalletStatus
    balance: Decimal
