"""Webhooks of Paystack: who signed one, and what it says."""

import hmac
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import sha512
from typing import Any

from django.conf import settings

from apps.common.errors import Invalid
from apps.common.strict_json import exact_document_of
from apps.wallets.paystack_values import amount_of, identifier_of, is_currency, is_text

_MOST_DEPTH = 20


@dataclass(frozen=True)
class Event:
    """What a webhook says. Nothing in it is believed: `verify` is asked before money moves.

    `reference` and `transaction_id` are those of the payment, also in events about refunds and
    disputes. What the event does not say is empty, or None.
    """

    name: str
    reference: str
    transaction_id: str
    amount: Decimal | None
    currency: str


class NotAnEvent(StrEnum):
    """Why a body is no event that can be read."""

    NOT_JSON = "not_json"
    NO_NAME = "no_name"
    NO_DATA = "no_data"
    REFERENCE = "reference_invalid"
    TRANSACTION = "transaction_id_invalid"
    AMOUNT = "amount_invalid"
    CURRENCY = "currency_invalid"


def signature_valid(body: bytes, header: str) -> bool:
    """Return whether the header is the hex HMAC-SHA512 of these very bytes by PAYSTACK_SECRET_KEY
    or PAYSTACK_SECRET_KEY_OLD. Takes as long for a wrong one, whatever is wrong with it."""
    given = header.encode("utf-8", "replace")
    valid = False
    for secret in (settings.PAYSTACK_SECRET_KEY, settings.PAYSTACK_SECRET_KEY_OLD):
        # An empty key signs too: whoever knows that none is set could forge.
        expected = hmac.new(secret.encode(), body, sha512).hexdigest().encode()
        valid |= hmac.compare_digest(expected, given) and bool(secret)
    return valid


def event_of(body: bytes) -> Event | NotAnEvent:
    """Return what a webhook's body says, or why it cannot be read. Never raises."""
    try:
        document = exact_document_of(body, most_depth=_MOST_DEPTH)
    except (ValueError, Invalid):
        return NotAnEvent.NOT_JSON
    name = document.get("event") if isinstance(document, dict) else None
    if not is_text(name):
        return NotAnEvent.NO_NAME
    data = document.get("data")
    if not isinstance(data, dict):
        return NotAnEvent.NO_DATA
    paid = data.get("transaction")
    paid = paid if isinstance(paid, dict) else {}
    if name.startswith("charge.dispute."):
        reference, identifier, minor = paid.get("reference"), paid.get("id"), paid.get("amount")
        currency = paid.get("currency") or data.get("currency")
    elif name.startswith("refund."):
        reference = data.get("transaction_reference") or paid.get("reference")
        identifier, minor, currency = paid.get("id"), data.get("amount"), data.get("currency")
    else:
        reference, identifier, minor, currency = map(
            data.get, ("reference", "id", "amount", "currency")
        )
    return _event(name, reference, identifier, minor, currency)


def _event(
    name: str, reference: Any, identifier: Any, minor: Any, currency: Any
) -> Event | NotAnEvent:
    # An event without a payment, such as one about a customer, has an id of something else.
    if reference is None and not name.startswith(("charge.", "refund.")):
        return Event(name, "", "", None, "")
    if not is_text(reference):
        return NotAnEvent.REFERENCE
    paid = name == "charge.success"
    number = None if identifier is None else identifier_of(identifier)
    if number is None and (paid or identifier is not None):
        return NotAnEvent.TRANSACTION
    if not is_currency(currency) and (paid or minor is not None or currency is not None):
        return NotAnEvent.CURRENCY
    amount = amount_of(minor, currency) if minor is not None and currency else None
    if amount is None and (paid or minor is not None):
        return NotAnEvent.AMOUNT
    return Event(name, reference, number or "", amount, currency or "")
