"""HTTP client of the payment service, which charges the cards of riders.

`POST {PAYMENT_SERVICE_URL}/api/v1/payments/charge` {userId, amount, currency, metadata:
{reservationId}} with the header `Idempotency-Key` → {transactionId}; the same key returns the same
transaction without a second charge. Amounts are exact texts in major units.

`POST …/payments/{transactionId or key}/reversal` {void_only} → {state: reversed | voided}. An
unknown key is voided: it never takes effect, so a call that is still under way cannot overtake the
reversal. `void_only` does not reverse what took effect: 409 {code: "executed", transactionId}.

`POST …/payments/{transactionId or key}/refunds` {amount, currency} → {refundId}: a part of a
charge, once for a key.

No answer is not a refusal (`apps.outbound.calls`): after Unavailable the card may be charged, and
only a reversal by the same key says what became of it. `charge` and `take_back` are shaped for
`apps.engine.effects.Effect`: given a row's `Charge` they are its `call` and its `take_back`.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import quote

from django.conf import settings

from apps.common.correlation import activity_id
from apps.common.money import exact
from apps.engine.contracts import EffectState
from apps.outbound.calls import Caller, Refused

#: The most characters of a transaction's or a refund's id.
MOST_ID = 120


@dataclass(frozen=True)
class Charge:
    """A charge of a card. `key` is the same at every attempt (`charge_key`)."""

    key: str
    user_id: str
    reservation_id: str
    amount: Decimal
    currency: str


def charge_key(workflow_id: str, step: str) -> str:
    """Return the idempotency key of a workflow's only call in this step."""
    return f"{workflow_id}:{step}"


def charge(it: Charge) -> str:
    """Charge the card, once for the key; return the transaction's id.

    Raises Refused, and Unavailable `payment_service_unavailable`: it may have been charged.
    """
    answer = _post(
        "charge",
        key=it.key,
        body={
            "userId": it.user_id,
            "amount": exact(it.amount, it.currency),
            "currency": it.currency,
            "metadata": {"reservationId": it.reservation_id},
        },
    )
    return _id_in(answer, "transactionId")


def take_back(it: Charge, *, transaction_id: str = "", void_only: bool) -> tuple[EffectState, str]:
    """Send all of the money back, or void the charge before it takes effect; return what is the
    case now, and the transaction that stands.

    `reversed`: charged and sent back. `refused`: never charged, and never will be under this key.
    `done`, only with `void_only`: charged, and left so. Repeated, it answers the same.

    Raises Refused, Unavailable `payment_service_unavailable`.
    """
    known = quote(transaction_id or it.key, safe="")
    try:
        # Two questions with two answers: a key of its own for each.
        key = f"{it.key}:{'void' if void_only else 'reverse'}"
        answer = _post(f"{known}/reversal", key=key, body={"void_only": void_only})
    except Refused as no:
        if void_only and no.status == 409 and no.code == "executed":
            return EffectState.DONE, _id_in(no.answer, "transactionId")
        raise
    match answer.get("state"):
        case "reversed":
            return EffectState.REVERSED, ""
        case "voided":
            return EffectState.REFUSED, ""
    raise _service().nonsense(answer)


def refund(it: Charge, amount: Decimal, *, transaction_id: str = "", key: str) -> str:
    """Send a part of the charge back, once for `key`; return the refund's id.

    Raises Refused, with code `refund_exceeds_charge` for more than is left of the charge;
    Unavailable `payment_service_unavailable`.
    """
    known = quote(transaction_id or it.key, safe="")
    body = {"amount": exact(amount, it.currency), "currency": it.currency}
    return _id_in(_post(f"{known}/refunds", key=key, body=body), "refundId")


def _post(path: str, *, key: str, body: dict[str, Any]) -> dict[str, Any]:
    # Unique within a run of a workflow only: for the logs of the other side, never a key.
    headers = {"X-Activity-ID": activity_id()} if activity_id() else {}
    return _service().post(f"/api/v1/payments/{path}", key=key, body=body, headers=headers)


def _service() -> Caller:
    return _caller(settings.PAYMENT_SERVICE_URL, settings.PAYMENT_SERVICE_TIMEOUT_SECONDS)


@cache
def _caller(base: str, seconds: float) -> Caller:
    """Return the caller, one per process: it is thread-safe and keeps its connections."""
    return Caller("payment service", base, seconds=seconds, code="payment_service_unavailable")


def _id_in(answer: dict[str, Any], name: str) -> str:
    identifier = answer.get(name)
    if (
        not isinstance(identifier, str)
        or not 0 < len(identifier) <= MOST_ID
        or not identifier.isprintable()
    ):
        raise _service().nonsense(answer)
    return identifier
