"""HTTP client of Paystack, where riders pay for top-ups. Its webhooks: `paystack_webhooks`.

Paystack answers `{status, message, data}`: `status` true says that the call was understood,
`data.status` what became of the payment. Amounts are whole numbers of the currency's minor unit
(kobo) there and Decimals of major units here. Ids are text here: they pass 32 bits.

A refusal is an answer with `status` false. Without a valid answer the outcome is unknown:
Unavailable `paystack_unavailable`, also for a wrong key, which says nothing about earlier calls.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings

from apps.common.correlation import activity_id
from apps.common.money import to_minor
from apps.outbound.calls import Caller, Refused
from apps.wallets.paystack_values import amount_of, identifier_of, is_currency, is_text

#: Codes of Refused: the reference was sent before; there is no such transaction.
DUPLICATE_REFERENCE = "duplicate_reference"
NOT_FOUND = "transaction_not_found"
#: The most characters of an address at which a payer pays.
MOST_URL = 500
_REFUNDS_READ = 50


class PaymentStatus(StrEnum):
    """What Paystack says of a reference.

    `abandoned` is also what it says while nobody has paid yet, and a card that failed may be
    followed by one that does not: only `success` is final. `unknown`: it has no such reference.
    """

    SUCCESS = "success"
    PENDING = "pending"
    FAILED = "failed"
    ABANDONED = "abandoned"
    UNKNOWN = "unknown"


_PAYMENTS = {
    "success": PaymentStatus.SUCCESS,
    "failed": PaymentStatus.FAILED,
    # Paid and sent back: not to be credited.
    "reversed": PaymentStatus.FAILED,
    "abandoned": PaymentStatus.ABANDONED,
    **dict.fromkeys(("pending", "ongoing", "processing", "queued"), PaymentStatus.PENDING),
}


class RefundStatus(StrEnum):
    """What Paystack says of a refund. `attention`: it wants the payer's account number."""

    PENDING = "pending"
    DONE = "processed"
    FAILED = "failed"
    ATTENTION = "needs-attention"


_REFUNDS = {**{str(one): one for one in RefundStatus}, "processing": RefundStatus.PENDING}


@dataclass(frozen=True)
class Initialized:
    """A payment that waits for its payer, at this address."""

    authorization_url: str
    access_code: str


@dataclass(frozen=True)
class Verified:
    """The truth about a reference. Of an `unknown` one there is only the status."""

    status: PaymentStatus
    amount: Decimal | None = None
    currency: str = ""
    transaction_id: str = ""
    paid_at: datetime | None = None


@dataclass(frozen=True)
class Refund:
    """A refund that Paystack knows."""

    refund_id: str
    status: RefundStatus
    amount: Decimal
    currency: str


# --- calls ---------------------------------------------------------------------------------------
def initialize(*, reference: str, email: str, amount: Decimal, currency: str) -> Initialized:
    """Open a payment under a reference that was never sent before; return where it is paid.

    Raises Refused, with code `duplicate_reference` when the reference was sent before: whether
    that attempt is paid says `verify`; Invalid `amount_invalid`; Unavailable
    `paystack_unavailable`.
    """
    body = {
        "reference": reference,
        "email": email,
        "amount": to_minor(amount, currency),
        "currency": currency,
    }
    answer = _paystack().post("/transaction/initialize", key=reference, body=body, headers=_ids())
    data = _data(answer)
    url, code = data.get("authorization_url"), data.get("access_code")
    if not is_text(url, MOST_URL) or not is_text(code) or not _can_be_opened(url):
        raise _paystack().nonsense(answer)
    if data.get("reference") != reference:
        raise _paystack().nonsense(answer)
    return Initialized(authorization_url=url, access_code=code)


def verify(reference: str) -> Verified:
    """Return what Paystack knows of the reference; changes nothing.

    Raises Unavailable `paystack_unavailable`, also for every answer that says neither what became
    of this reference nor that there is none.
    """
    path = f"/transaction/verify/{quote(reference, safe='')}"
    try:
        answer = _paystack().get(path, headers=_ids())
    except Refused as no:
        if no.code == NOT_FOUND:
            return Verified(PaymentStatus.UNKNOWN)
        raise _paystack().nonsense(no.answer) from no
    data = _data(answer)
    status, currency = _PAYMENTS.get(_word(data.get("status"))), data.get("currency")
    identifier = identifier_of(data.get("id"))
    if (
        status is None
        or data.get("reference") != reference
        or identifier is None
        or not is_currency(currency)
        or (amount := amount_of(data.get("amount"), currency)) is None
    ):
        raise _paystack().nonsense(answer)
    try:
        paid_at = _moment(data.get("paid_at"))
    except ValueError:
        raise _paystack().nonsense(answer) from None
    return Verified(status, amount, currency, identifier, paid_at)


def refund(transaction_id: str, amount: Decimal | None, *, currency: str, key: str) -> Refund:
    """Send a payment back, whole without an amount; return the refund, which settles later.

    Once for a key: Paystack promises nothing for the header, so a refund that bears the key is
    looked for first. That finds what an earlier call did once that call is over, so calls of one
    key must follow each other.

    Raises Refused, Invalid `amount_invalid`, Unavailable `paystack_unavailable`.
    """
    body: dict[str, Any] = {"transaction": transaction_id, "currency": currency}
    if amount is not None:
        body["amount"] = to_minor(amount, currency)
    if (known := _refund_of(transaction_id, key)) is not None:
        return known
    body["merchant_note"] = key
    answer = _paystack().post("/refund", key=key, body=body, headers=_ids())
    if (made := _refund(_data(answer))) is None:
        raise _paystack().nonsense(answer)
    return made


def _refund_of(transaction_id: str, key: str) -> Refund | None:
    path = f"/refund?transaction={quote(transaction_id, safe='')}&perPage={_REFUNDS_READ}"
    answer = _paystack().get(path, headers=_ids())
    listed = answer.get("data")
    # More than one page is no answer: a refund on the next might be this one.
    if answer.get("status") is not True or not isinstance(listed, list):
        raise _paystack().nonsense(answer)
    for item in listed:
        if not isinstance(item, dict):
            raise _paystack().nonsense(answer)
        if item.get("merchant_note") == key:
            if (known := _refund(item)) is None:
                raise _paystack().nonsense(answer)
            return known
    if len(listed) >= _REFUNDS_READ:
        raise _paystack().nonsense({"refunds": len(listed)})
    return None


def _refund(data: dict[str, Any]) -> Refund | None:
    status, currency = _REFUNDS.get(_word(data.get("status"))), data.get("currency")
    identifier = identifier_of(data.get("id"))
    if status is None or identifier is None or not is_currency(currency):
        return None
    amount = amount_of(data.get("amount"), currency)
    return None if amount is None else Refund(identifier, status, amount, currency)


def _paystack() -> Caller:
    return _caller(
        settings.PAYSTACK_URL, settings.PAYSTACK_TIMEOUT_SECONDS, settings.PAYSTACK_SECRET_KEY
    )


@cache
def _caller(base: str, seconds: float, secret: str) -> Caller:
    """Return the caller, one per process: it is thread-safe and keeps its connections."""
    return Caller(
        "payment provider",
        base,
        seconds=seconds,
        code="paystack_unavailable",
        headers={"Authorization": f"Bearer {secret}"},
        refusal=_refusal,
    )


def _refusal(status: int, answer: dict[str, Any]) -> dict[str, Any] | None:
    message = answer.get("message")
    # With another key the same call might be understood, and an earlier one might have been.
    if status in {401, 403} or status >= 500 or answer.get("status") is not False:
        return None
    if not isinstance(message, str) or not message:
        return None
    code, words = answer.get("code"), message.lower()
    if "duplicate" in words and "reference" in words:
        code = DUPLICATE_REFERENCE
    elif "transaction" in words and "not found" in words:
        code = NOT_FOUND
    return {"code": code if isinstance(code, str) and code else "refused", "detail": message}


def _data(answer: dict[str, Any]) -> dict[str, Any]:
    data = answer.get("data")
    if answer.get("status") is not True or not isinstance(data, dict):
        raise _paystack().nonsense(answer)
    return data


def _ids() -> dict[str, str]:
    return {"X-Activity-ID": activity_id()} if activity_id() else {}


# --- values from outside -------------------------------------------------------------------------
def _word(raw: Any) -> str:
    return raw if isinstance(raw, str) else ""


def _can_be_opened(url: str) -> bool:
    """Return whether the address may be a link: https, or plain where Paystack itself is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    schemes = {"https", urlsplit(settings.PAYSTACK_URL).scheme}
    return parts.scheme in schemes and bool(parts.hostname)


def _moment(raw: Any) -> datetime | None:
    """Return a point in time. Raises ValueError for one without a zone, and for another text."""
    if raw is None:
        return None
    moment = datetime.fromisoformat(raw if isinstance(raw, str) else "")
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment
