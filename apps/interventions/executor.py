"""HTTP client of the executor, which moves the money.

`POST {EXECUTOR_URL}/executions` {intervention_id, target, amount, currency} with the header
`Idempotency-Key` → {receipt}; the same key returns the same receipt without a second effect.

`POST {EXECUTOR_URL}/executions/{receipt or key}/reversal` {void_only} → {state: reversed | voided}.
An unknown key is voided: it never takes effect, so a call that is still under way cannot overtake
the reversal. `void_only` does not reverse what took effect: 409 {code: "executed", receipt}.
`apps.outbound.calls` distinguishes refusals from outages.
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
    """Return the idempotency key of an intervention's only execution."""
    return f"{intervention_id}:execute"


def execute(intervention: "Intervention") -> str:
    """Execute the payment; return the receipt. Raises Refused, Unavailable
    `executor_unavailable`."""
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
    """Reverse the payment, or void it before it takes effect; return the resulting state, and the
    receipt if there is one.

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
    """Return the caller, one per process: it is thread-safe and keeps its connections."""
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
