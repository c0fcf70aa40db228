"""What crosses between wallets, top-ups and their callers. Standard library only.

The fields of `TopUpRequest`, `TopUpResult` and of the five activities are in camel case: clients
and workflows of others know them so.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from apps.engine.contracts import Between, Seconds, Timings

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


# --- top-ups --------------------------------------------------------------------------------------
TASK_QUEUE = "booking-tasks"
#: The workflow of a top-up, under both of its names, and its signal.
TOPUP_WORKFLOW, TOPUP_ALIAS = "WalletTopUpWorkflow", "walletTopUpWorkflow"
SIGNAL_PAID = "paystackWebhookReceived"
#: Types of the subjects in the engine and the audit trail, and the kinds of their review items.
TOPUP, REVIEW = "topup", "payment_review"
ATTENTION_KIND, REVIEW_KIND = "topup.attention", "payment.review"

#: What clients of the workflow compare with.
TIMEOUT_WORDS = "Payment confirmation timeout"
PAYMENT_FAILED_WORDS = "Payment failed"
TIMEOUT = "payment_timeout"
#: Codes of ends that clients know as a failed payment.
_PAYMENT_FAILED = frozenset(
    {
        *("payment_refused", "paystack_unavailable", "step_failed"),
        *("amount_differs", "currency_differs", "wallet_full"),
    }
)


class TopUpStatus(StrEnum):
    """Status of a top-up. From `credited` on the money is in the wallet, and only the invoice and
    the receipt are to be made."""

    RUNNING = "running"
    AWAITING_PAYMENT = "awaiting_payment"
    CREDITED = "credited"
    DONE = "done"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (TopUpStatus.DONE, TopUpStatus.FAILED)

    @property
    def paid(self) -> bool:
        """Return whether the money is in the wallet."""
        return self in (TopUpStatus.CREDITED, TopUpStatus.DONE)


class ReferenceStatus(StrEnum):
    """What we know of a reference: `sent` before the answer, `open` once it can be paid."""

    SENT = "sent"
    OPEN = "open"
    REFUSED = "refused"
    PAID = "paid"
    CANCELLED = "cancelled"


class MoneyStatus(StrEnum):
    """Where the money of a provider's payment is."""

    CREDITED = "credited"
    SUSPENSE = "suspense"
    SENDING_BACK = "sending_back"
    SENT_BACK = "sent_back"


class ReviewStatus(StrEnum):
    """Status of a payment's review. `noted`: there was no money to move."""

    AWAITING_DECISION = "awaiting_decision"
    SENDING_BACK = "sending_back"
    CREDITED = "credited"
    SENT_BACK = "sent_back"
    NOTED = "noted"

    @property
    def terminal(self) -> bool:
        """Return whether the status is final."""
        return self in (ReviewStatus.CREDITED, ReviewStatus.SENT_BACK, ReviewStatus.NOTED)


class ReviewCode(StrEnum):
    """Why a person looks at a payment."""

    LATE = "late"
    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    PAID_TWICE = "paid_twice"
    WALLET_FULL = "wallet_full"
    REFERENCE_UNKNOWN = "reference_unknown"
    UNCONFIRMED = "unconfirmed"
    UNREADABLE = "unreadable"
    DISPUTE = "dispute"
    REFUND_FAILED = "refund_failed"


class EventOutcome(StrEnum):
    """What came of a webhook. While it is open it is looked at again."""

    OPEN = ""
    CREDITED = "credited"
    REVIEW = "review"
    IGNORED = "ignored"


class Step(StrEnum):
    """Steps of a top-up in order, then that of one that comes to nothing."""

    INITIATE_PAYMENT = "initiate_payment"
    CREDIT_WALLET = "credit_wallet"
    GENERATE_INVOICE = "generate_invoice"
    SEND_RECEIPT = "send_receipt"
    CANCEL_PAYMENT = "cancel_payment"


@dataclass(frozen=True)
class Waits:
    """How long a top-up waits for its payment, and how often it asks, in seconds."""

    payment: Seconds = 600.0
    poll: Seconds = 15.0


@dataclass(frozen=True)
class TopUpRequest:
    """Input of the workflow. By hand `{userId, amount}` is enough, and the row is made first; a row
    that is there wins over the other fields.

    `amount` in major units of the wallet's currency. `restarted`: the run continues from the row
    after another one ended.
    """

    userId: Annotated[str, Between(1, 80)]
    amount: Annotated[float, Between(0, 1_000_000_000)] | Annotated[str, Between(1, 20)]
    timings: Timings = field(default_factory=Timings)
    waits: Waits = field(default_factory=Waits)
    restarted: bool = False


@dataclass(frozen=True)
class TopUpResult:
    """Result of the workflow. `transactionId` is Paystack's; without success `error` has words."""

    success: bool
    transactionId: str = ""
    error: str = ""
    code: str = ""


def end_words(code: str, detail: str) -> str:
    """Return why nothing was credited, in the words that clients compare with."""
    if code == TIMEOUT:
        return TIMEOUT_WORDS
    return PAYMENT_FAILED_WORDS if code in _PAYMENT_FAILED else detail or code


@dataclass(frozen=True)
class OpenInput:
    """Find or make the row of a workflow."""

    workflow_id: str
    request: TopUpRequest
    as_of: datetime


@dataclass(frozen=True)
class TopUpInput:
    """Input of steps that need only the top-up."""

    top_up_id: str


@dataclass(frozen=True)
class AttentionInput:
    """Ask a person about a top-up."""

    top_up_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class TopUpFacts:
    """What the database knows of a top-up. `pay_until`: when the wait for the payment ends, once it
    has begun; `attention`: status of the newest review item."""

    top_up_id: str
    status: str
    pay_until: datetime | None = None
    transaction_id: str = ""
    attention: str = ""
    code: str = ""
    detail: str = ""

    @property
    def settled(self) -> bool:
        """Return whether nothing is left to do."""
        return TopUpStatus(self.status).terminal

    @property
    def paid(self) -> bool:
        """Return whether the money is in the wallet."""
        return TopUpStatus(self.status).paid


# --- the five activities, as other workflows know them ------------------------------------------
@dataclass(frozen=True)
class InitiateInput:
    """Input of `initiatePaystackPayment`. The row has what is paid; `waitSeconds`: how long is
    waited for it."""

    userId: str
    amount: float = 0
    waitSeconds: float = 600.0


@dataclass(frozen=True)
class Initiated:
    """Output of `initiatePaystackPayment`: the reference, and where it is paid."""

    id: str
    authorizationUrl: str


@dataclass(frozen=True)
class CreditInput:
    """Input of `creditWallet`. Nothing in it is believed: Paystack is asked."""

    userId: str
    amount: float = 0
    transactionId: str = ""


@dataclass(frozen=True)
class CreditOutput:
    """Output of `creditWallet`. `success` is false while nothing was paid; `final`: nothing that
    can be credited will be paid any more."""

    success: bool
    transactionId: str = ""
    final: bool = False
    code: str = ""
    error: str = ""


@dataclass(frozen=True)
class InvoiceInput:
    """Input of `generateInvoice`."""

    userId: str
    transactionId: str = ""


@dataclass(frozen=True)
class InvoiceOutput:
    """Output of `generateInvoice`."""

    invoiceId: str


@dataclass(frozen=True)
class ReceiptInput:
    """Input of `sendReceiptEmail`."""

    userId: str
    invoiceId: str = ""


@dataclass(frozen=True)
class CancelPaymentInput:
    """Input of `cancelPaystackPayment`: why nothing is waited for any more."""

    userId: str
    code: str = TIMEOUT
    detail: str = ""
