"""The executor's HTTP interface: who really moves the money.

`POST {EXECUTOR_URL}/executions` {intervention_id, target, amount, currency} with the header
`Idempotency-Key` → {receipt}; the same key again gives the same receipt and no second effect.
`POST {EXECUTOR_URL}/executions/{receipt or key}/reversal` {void_only} → {state: reversed | voided}.
A key that is not known is voided: it will never take effect any more, so a call that is still on
its way cannot pass the reversal. `void_only` leaves alone what took effect: 409 {code: "executed",
receipt}.

A 4xx with a `code` of its own is the executor's no, but for 408, 425 and 429. Anything else that is
not a good answer is an outage: the caller tries again with the same key.
"""

from functools import cache
from typing import Any
from urllib.parse import quote

from django.conf import settings

from apps.common.errors import Conflict
from apps.common.money import exact
from apps.interventions.contracts import Execution
from apps.interventions.services.execution import Order, Reversal
from apps.outbound.calls import Caller, Refused

RECEIPT_LIMIT = 120


def execution_key(intervention_id: str) -> str:
    """The idempotency key of the one execution of an intervention."""
    return f"{intervention_id}:execute"


def execute(order: Order) -> str:
    """Have it executed; the receipt.

    Raises Conflict `execution_refused` for the executor's no, Unavailable `executor_unavailable`
    when it cannot be reached or answers nonsense: then nobody knows, and the same key is safe.
    """
    try:
        answer = _executor().post(
            "/executions",
            key=execution_key(order.intervention_id),
            body={
                "intervention_id": order.intervention_id,
                "target": order.target,
                "amount": exact(order.amount, order.currency),
                "currency": order.currency,
            },
        )
    except Refused as no:
        raise Conflict(f"The executor refused: {no.reason}", code="execution_refused") from no
    return _receipt(answer)


def reverse(reversal: Reversal) -> tuple[Execution, str]:
    """Have it undone, or voided before it takes effect; what it came to, and its receipt if any.

    Raises Conflict `reversal_refused`, Unavailable `executor_unavailable`.
    """
    key = execution_key(reversal.intervention_id)
    try:
        answer = _executor().post(
            f"/executions/{quote(reversal.receipt or key, safe='')}/reversal",
            key=f"{reversal.intervention_id}:reverse",
            body={"void_only": reversal.void_only},
        )
    except Refused as no:
        if no.status == 409 and no.code == "executed":
            return Execution.DONE, _receipt(no.answer)
        raise Conflict(f"The executor refused: {no.reason}", code="reversal_refused") from no
    match answer.get("state"):
        case "reversed":
            return Execution.REVERSED, ""
        case "voided":
            return Execution.REFUSED, ""
    raise _executor().nonsense(answer)


def _executor() -> Caller:
    return _caller(settings.EXECUTOR_URL, settings.EXECUTOR_TIMEOUT_SECONDS)


@cache
def _caller(base: str, seconds: float) -> Caller:
    """One for the process: it is thread-safe and keeps its connections."""
    return Caller("executor", base, seconds=seconds, code="executor_unavailable")


def _receipt(answer: dict[str, Any]) -> str:
    receipt = answer.get("receipt")
    if (
        not isinstance(receipt, str)
        or not 0 < len(receipt) <= RECEIPT_LIMIT
        or not receipt.isprintable()
    ):
        raise _executor().nonsense(answer)
    return receipt
