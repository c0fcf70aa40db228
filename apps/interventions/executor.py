"""The executor's HTTP interface: who really moves the money.

`POST {EXECUTOR_URL}/executions` {intervention_id, target, amount, currency} with the header
`Idempotency-Key` → {receipt}; the same key again gives the same receipt and no second effect.
`POST {EXECUTOR_URL}/executions/{receipt or key}/reversal` {void_only} → {state: reversed | voided}.
A key that is not known is voided: it will never take effect any more, so a call that is still on
its way cannot pass the reversal. `void_only` leaves alone what took effect: 409 {code: "executed",
receipt}. What is a no and what an outage says `apps.outbound.calls`.
"""

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.conf import settings

from apps.common.money import exact
from apps.interventions.contracts import Execution
from apps.outbound.calls import Caller, Refused

if TYPE_CHECKING:
    from apps.interventions.models import Intervention

RECEIPT_LIMIT = 120


def execution_key(intervention_id: object) -> str:
    """The idempotency key of the one execution of an intervention."""
    return f"{intervention_id}:execute"


def execute(intervention: "Intervention") -> str:
    """Have it executed; the receipt. Raises Refused, Unavailable `executor_unavailable`."""
    answer = _executor().post(
        "/executions",
        key=execution_key(intervention.pk),
        body={
            "intervention_id": str(intervention.pk),
            "target": intervention.target,
            "amount": exact(intervention.amount, intervention.currency),
            "currency": intervention.currency,
        },
    )
    return _receipt(answer)


def reverse(intervention: "Intervention", *, void_only: bool) -> tuple[Execution, str]:
    """Have it undone, or voided before it takes effect; what it came to, and its receipt if any.

    Raises Refused, Unavailable `executor_unavailable`.
    """
    known = intervention.receipt or execution_key(intervention.pk)
    try:
        answer = _executor().post(
            f"/executions/{quote(known, safe='')}/reversal",
            key=f"{intervention.pk}:reverse",
            body={"void_only": void_only},
        )
    except Refused as no:
        if no.status == 409 and no.code == "executed":
            return Execution.DONE, _receipt(no.answer)
        raise
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
