"""The executor's HTTP interface: who really moves the money.

`POST {EXECUTOR_URL}/executions` {intervention_id, target, amount, currency} with the header
`Idempotency-Key` → {receipt}; the same key again gives the same receipt and no second effect.
`POST {EXECUTOR_URL}/executions/{receipt or key}/reversal` {void_only} → {state: reversed | voided}.
A key that is not known is voided: it will never take effect any more, so a call that is still on
its way cannot pass the reversal. `void_only` leaves alone what took effect: 409 {code: "executed",
receipt}.

A 4xx is the executor's no. Anything else that is not a good answer is an outage: the caller tries
again with the same key.
"""

from functools import cache
from urllib.parse import quote

import httpx2
from django.conf import settings

from apps.common.correlation import get_logger
from apps.common.errors import Conflict, Unavailable
from apps.interventions.contracts import Execution
from apps.interventions.services.execution import Order, Reversal

logger = get_logger(__name__)

#: 4xx answers that say "later", not "no".
LATER = frozenset({408, 425, 429})
BODY_LIMIT = 64 * 1024
RECEIPT_LIMIT = 120


def execution_key(intervention_id: str) -> str:
    """The idempotency key of the one execution of an intervention."""
    return f"{intervention_id}:execute"


def execute(order: Order) -> str:
    """Have it executed; the receipt.

    Raises Conflict `execution_refused` for the executor's no, Unavailable `executor_unavailable`
    when it cannot be reached or answers nonsense: then nobody knows, and the same key is safe.
    """
    response = _post(
        "/executions",
        key=execution_key(order.intervention_id),
        body={
            "intervention_id": order.intervention_id,
            "target": order.target,
            "amount": f"{order.amount:.2f}",
            "currency": order.currency,
        },
    )
    if response.is_client_error:
        raise Conflict(f"The executor refused: {_reason(response)}", code="execution_refused")
    return _receipt(response)


def reverse(reversal: Reversal) -> tuple[Execution, str]:
    """Have it undone, or voided before it takes effect; what it came to, and its receipt if any.

    Raises Conflict `reversal_refused`, Unavailable `executor_unavailable`.
    """
    key = execution_key(reversal.intervention_id)
    response = _post(
        f"/executions/{quote(reversal.receipt or key, safe='')}/reversal",
        key=f"{reversal.intervention_id}:reverse",
        body={"void_only": reversal.void_only},
    )
    answer = _json(response)
    if response.status_code == 409 and answer.get("code") == "executed":
        return Execution.DONE, _receipt(response)
    if response.is_client_error:
        raise Conflict(f"The executor refused: {_reason(response)}", code="reversal_refused")
    match answer.get("state"):
        case "reversed":
            return Execution.REVERSED, ""
        case "voided":
            return Execution.REFUSED, ""
    raise _nonsense(response)


@cache
def _client() -> httpx2.Client:
    """One for the process: it is thread-safe and keeps its connections."""
    return httpx2.Client(
        timeout=settings.EXECUTOR_TIMEOUT_SECONDS,
        limits=httpx2.Limits(max_connections=200, max_keepalive_connections=20),
        follow_redirects=False,
    )


def _post(path: str, *, key: str, body: dict[str, object]) -> httpx2.Response:
    url = f"{settings.EXECUTOR_URL.rstrip('/')}{path}"
    try:
        response = _client().post(url, json=body, headers={"Idempotency-Key": key})
    except httpx2.HTTPError as error:
        raise Unavailable(
            f"The executor cannot be reached: {type(error).__name__}: {error}",
            code="executor_unavailable",
        ) from error
    # A no is the executor's own only with a code: a gateway's 401 or 404 in between says nothing
    # about an earlier attempt that may have paid.
    refused = response.is_client_error and bool(_json(response).get("code"))
    if response.status_code in LATER or not (response.is_success or refused):
        raise Unavailable(
            f"The executor answered {response.status_code}.", code="executor_unavailable"
        )
    return response


def _receipt(response: httpx2.Response) -> str:
    receipt = _json(response).get("receipt")
    if (
        not isinstance(receipt, str)
        or not 0 < len(receipt) <= RECEIPT_LIMIT
        or not receipt.isprintable()
    ):
        raise _nonsense(response)
    return receipt


def _reason(response: httpx2.Response) -> str:
    answer = _json(response)
    said = answer.get("detail") or answer.get("code") or f"status {response.status_code}"
    return "".join(c if c.isprintable() else " " for c in str(said))[:500]


def _json(response: httpx2.Response) -> dict[str, object]:
    try:
        answer = response.json() if len(response.content) <= BODY_LIMIT else None
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {}


def _nonsense(response: httpx2.Response) -> Unavailable:
    logger.warning("executor.nonsense", status=response.status_code, body=response.text[:200])
    return Unavailable("The executor's answer cannot be understood.", code="executor_unavailable")
