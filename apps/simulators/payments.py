"""A simulated payment service: it charges no card and counts the calls that would have charged one.

It has the guarantees of the real interface (`apps.bookings.payments`): those of
`apps.simulators.effects`, and refunds of parts, each once for its key and together at most the
charge. `behaviour` makes it slow, refuse or fail; `refuse_targets` are users.
"""

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any

from apps.simulators.effects import Effect, EffectSink, texts_missing
from apps.simulators.http import Answer, Refusal, Request


@dataclass
class Charge(Effect):
    """A charge of a card, and the amounts that were sent back, by key."""

    refunds: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, Any]:
        return {**super().counts, "refunds": self.refunds}

    @property
    def left(self) -> Decimal:
        """What is not sent back yet."""
        if not self.executions or self.reversals:
            return Decimal(0)
        return Decimal((self.body or {})["amount"]) - sum(map(Decimal, self.refunds.values()))


class PaymentSink(EffectSink[Charge]):
    """POST /payments/api/v1/payments/charge, …/payments/<transaction or key>/reversal and
    …/refunds; GET /payments/effects counts, /payments/behaviour tells and is told the faults."""

    kind = Charge
    receipt = "transactionId"
    prefix = "T"

    async def route(self, request: Request) -> Answer:
        """Answer a request of the payment service's interface."""
        match request.method, request.parts:
            case "POST", ["api", "v1", "payments", "charge"]:
                return await self._charge(request)
            case "POST", ["api", "v1", "payments", name, "reversal"]:
                return await self.reverse(name, request)
            case "POST", ["api", "v1", "payments", name, "refunds"]:
                return await self._refund(name, request)
        raise Refusal(404, "not_found", "There is no such address.")

    async def _charge(self, request: Request) -> Answer:
        request.idempotency_key()
        body = request.json()
        texts_missing(body, "userId", "amount", "currency")
        _amount(body)
        metadata = body.get("metadata")
        texts_missing(metadata if isinstance(metadata, dict) else {}, "reservationId")
        return await self.execute(request, body, target=body["userId"])

    async def _refund(self, name: str, request: Request) -> Answer:
        refund_key, body = request.idempotency_key(), request.json()
        texts_missing(body, "amount", "currency")
        amount = _amount(body)
        self.fail_taking_back()
        key = self.key_of(name)
        charge = self.effects.get(key)
        if charge is None or not charge.executions:
            raise Refusal(404, "charge_unknown", "Nothing was charged under this name.")
        async with charge.lock:
            if refund_key not in charge.refunds:
                if body["currency"] != (charge.body or {})["currency"]:
                    raise Refusal(422, "currency_differs", "It was charged in another currency.")
                if self.behaviour.refuse_reversals:
                    raise Refusal(422, "not_reversible", "Not any more.")
                if amount > charge.left:
                    detail = f"{charge.left} is left of the charge."
                    raise Refusal(409, "refund_exceeds_charge", detail)
                charge.refunds[refund_key] = str(amount)
                self.keep(key, charge)
            elif Decimal(charge.refunds[refund_key]) != amount:
                raise Refusal(409, "idempotency_key_reused", "The key belongs to another amount.")
        return Answer(200, {"refundId": f"F-{sha256(refund_key.encode()).hexdigest()[:16]}"})


def _amount(body: dict[str, Any]) -> Decimal:
    try:
        amount = Decimal(body["amount"])
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise Refusal(422, "invalid", "The amount is a text such as 1500.00, above zero.")
    return amount
