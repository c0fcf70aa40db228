"""The demo's batches: one that was paused halfway, with failed payments, and one that waits for its
signature.

Payments that are executed here were paid to nobody: the demo writes the answers that the executor
would have given, with receipts that say so. A worker that continues the batch pays the waiting
items.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from apps.accounts.models import User
from apps.approvals.demo import decided
from apps.common.errors import Conflict
from apps.engine import effects
from apps.interventions.contracts import SUBJECT, BatchStatus, InterventionStatus, ReadyItem
from apps.interventions.models import InterventionBatch, Policy
from apps.interventions.services.batches import batch_pause, batch_request
from apps.interventions.services.batches_input import FIELDS
from apps.interventions.services.batches_running import items_prepare
from apps.interventions.services.batches_signing import SIGNED_BATCH
from apps.interventions.services.budgets import budget_release, budget_reserve
from apps.interventions.services.execution import EXECUTION
from apps.interventions.services.outcomes import (
    feature_update,
    intervention_settle,
    outcome_record,
    stakeholders_notify,
)
from apps.interventions.services.policies import policy_details, policy_validate
from apps.web.demo import table


class Payment(NamedTuple):
    """One payment; `refused`: the reason with which the executor refuses it, empty: it pays."""

    batch: str
    amount: str
    target: str
    justification: str
    region: str
    refused: str


PAYMENTS = table("interventions", "payments", Payment)
HALF = [payment for payment in PAYMENTS if payment.batch == "half"]
#: How many valid items begin before the pause.
BEGUN = 9


def batch_half_seed(people: dict[str, User], now: datetime) -> None:
    """Create a batch that was signed, partly executed, and paused. Items that a worker already
    executes are left to it."""
    batch = _asked(
        HALF,
        policy="dry-season-inputs",
        title="Onion and tomato growers, first list",
        key="demo-batch-1",
        by=people["requester"],
        as_of=now - timedelta(hours=5),
    )
    _signed(batch, by=people["reviewer"], as_of=now - timedelta(hours=1))
    ended = batch.items.exclude(intervention=None).exclude(settled_at=None)
    ready = items_prepare(
        batch.pk,
        workflow_id=batch.workflow_id,
        limit=max(BEGUN - ended.count(), 0),
        known=(),
        as_of=now,
    )
    for item in ready.items:
        _carried_out(item, refused=HALF[item.number - 1].refused)
    batch.refresh_from_db()
    if batch.status == BatchStatus.RUNNING:
        batch_pause(
            batch.pk,
            by=people["requester"],
            via="command",
            reason="Niger State sends a corrected list of the last growers.",
            as_of=now,
        )


def batch_waiting_seed(people: dict[str, User], now: datetime) -> None:
    """Create a batch that waits for its signature."""
    batch = _asked(
        [payment for payment in PAYMENTS if payment.batch == "wards"],
        policy="flood-relief",
        title="Tarpaulins, wards 7 to 12",
        key="demo-batch-2",
        by=people["requester"],
        as_of=now - timedelta(hours=3),
    )
    SIGNED_BATCH.open(batch.pk, workflow_id=batch.workflow_id, as_of=now - timedelta(hours=3))


def _asked(
    payments: Sequence[Payment], *, policy: str, title: str, key: str, by: User, as_of: datetime
) -> InterventionBatch:
    currency = Policy.objects.values_list("currency", flat=True).get(code=policy, active=True)
    batch, _ = batch_request(
        policy=policy,
        budget="relief-north-2026",
        currency=currency,
        items=[{name: getattr(one, name) for name in FIELDS} for one in payments],
        title=title,
        by=by,
        via="command",
        idempotency_key=key,
        as_of=as_of,
    )
    return batch


def _signed(batch: InterventionBatch, *, by: User, as_of: datetime) -> None:
    SIGNED_BATCH.open(batch.pk, workflow_id=batch.workflow_id, as_of=batch.created_at)
    request = SIGNED_BATCH.request_of(batch)
    if request is not None and request.status == "open":
        reason = "Names and amounts compared with the cooperative's list."
        decided(request, by=by, verdict="approve", reason=reason, as_of=as_of)


def _carried_out(item: ReadyItem, *, refused: str) -> None:
    """Do the saga's steps in order, as far as they are not done."""
    this: dict[str, Any] = {"intervention_id": item.intervention_id}
    try:
        # Only one workflow id may execute the intervention: from here on a worker's saga is
        # refused, and this call is refused if the worker came first.
        policy_validate(**this, workflow_id=f"demo-{SUBJECT}-{item.intervention_id}")
    except Conflict as error:
        if error.code not in {"already_executing", "already_settled"}:
            raise
        return
    policy_details(**this)
    budget_reserve(**this)
    if effects.begin(EXECUTION, item.intervention_id).receipt == "":
        if refused:
            effects.refuse(EXECUTION, item.intervention_id, f"The executor refused: {refused}")
            budget_release(**this)
            intervention_settle(
                **this,
                status=InterventionStatus.FAILED,
                code="execution_refused",
                detail=f"The executor refused: {refused}",
            )
            return
        effects.finish(EXECUTION, item.intervention_id, f"DEMO-{item.intervention_id}")
    feature_update(**this)
    stakeholders_notify(**this)
    outcome_record(**this)
