"""The demo's batches: one that was paused half way, with payments that failed, and one that waits
for its signature.

What is called paid here was paid to nobody: the demo notes the answers that the executor would
have given, with receipts that say so. A worker that goes on with the batch pays what still waits.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from apps.accounts.models import User
from apps.approvals import services as approvals
from apps.approvals.selectors import current_payload
from apps.common.errors import Conflict
from apps.engine import effects
from apps.interventions.contracts import SUBJECT, BatchStatus, InterventionStatus, ReadyItem
from apps.interventions.models import InterventionBatch, Policy
from apps.interventions.services.batches import batch_pause, batch_request
from apps.interventions.services.batches_rows import batch_request_of
from apps.interventions.services.batches_running import items_prepare
from apps.interventions.services.batches_signing import batch_open
from apps.interventions.services.budgets import budget_release, budget_reserve
from apps.interventions.services.execution import EXECUTION
from apps.interventions.services.outcomes import (
    feature_update,
    intervention_settle,
    outcome_record,
    stakeholders_notify,
)
from apps.interventions.services.policies import policy_details, policy_validate


class Payment(NamedTuple):
    """One payment; `refused`: what the executor says to it, empty: it pays."""

    amount: str
    target: str
    justification: str
    region: str = ""
    refused: str = ""


INPUTS = "dry-season-inputs"
HALF_TITLE = "Onion and tomato growers, first list"
#: So many of the sound ones are begun before it is paused.
BEGUN = 9
HALF = (
    Payment("9500.00", "Adaeze Nnamdi, Gboko", "Seed onions and a treadle pump.", "NG-BE"),
    Payment("8750.00", "Terver Iorfa, Gboko", "Seed onions and fertiliser.", "NG-BE"),
    Payment("9200.00", "Mbakeren Growers, Vandeikya", "Tomato seed for six plots.", "NG-BE"),
    Payment("4200.00", "Doose Akaa, Gboko", "Two bags of fertiliser.", "NG-BE"),
    Payment("7800.00", "Sani Garba, Kura", "Tomato seed, nursery trays.", "NG-KO"),
    Payment(
        "8100.00", "Zainab Lawal, Bunkure", "Pump hose, 60 m.", "NG-KO",
        "The account number belongs to another name.",
    ),
    Payment("6900.00", "Ibrahim Musa, Garun Mallam", "Tomato seed and lime.", "NG-KO"),
    Payment("7400.00", "Folake Adeyemi, Epe", "Vegetable seed.", "NG-LA"),
    Payment("7150.00", "Halima Shehu, Kura", "Seed onions.", "NG-KO"),
    Payment("8300.00", "Mohammed Ndagi, Bida", "Treadle pump.", "NG-NI"),
    Payment(
        "7600.00", "Rakiya Baba, Mokwa", "Seed onions and lime.", "NG-NI", "The account is closed."
    ),
    Payment("8,900", "Aisha Jiya, Bida", "Tomato seed.", "NG-NI"),
    Payment("6500.00", "Usman Gana, Lavun", "Fertiliser for one hectare.", "NG-NI"),
    Payment("5900.00", "Fatima Mahmud, Wushishi", "Seed onions.", "NG-NI"),
    Payment("6250.00", "Yakubu Tsado, Mokwa", "Nursery trays and seed.", "NG-NI"),
)  # fmt: skip

WARDS_TITLE = "Tarpaulins, wards 7 to 12"
WARDS = tuple(
    Payment(amount, f"Ward {ward} households, Lokoja", "Tarpaulins and rope, third delivery.")
    for ward, amount in enumerate(
        ("26000.00", "31500.00", "28000.00", "40500.00", "27500.00", "33000.00"), start=7
    )
)


def batch_half_seed(people: dict[str, User], now: datetime) -> None:
    """A batch that was signed, worked on, and paused. What a worker is at already is left to it."""
    batch = _asked(
        HALF,
        policy=INPUTS,
        title=HALF_TITLE,
        key="demo-batch-1",
        by=people["requester"],
        as_of=now - timedelta(hours=5),
    )
    _signed(batch, by=people["reviewer"], as_of=now - timedelta(hours=1))
    ended = batch.items.exclude(intervention=None).exclude(settled_at=None)
    ready = items_prepare(
        batch_id=batch.pk,
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
            batch_id=batch.pk,
            by=people["requester"],
            via="command",
            reason="Niger State sends a corrected list of the last growers.",
            as_of=now,
        )


def batch_waiting_seed(people: dict[str, User], now: datetime) -> None:
    """A batch that waits for its signature."""
    batch = _asked(
        WARDS,
        policy="flood-relief",
        title=WARDS_TITLE,
        key="demo-batch-2",
        by=people["requester"],
        as_of=now - timedelta(hours=3),
    )
    batch_open(batch.pk, workflow_id=batch.workflow_id, as_of=now - timedelta(hours=3))


def _asked(
    payments: Sequence[Payment], *, policy: str, title: str, key: str, by: User, as_of: datetime
) -> InterventionBatch:
    currency = Policy.objects.values_list("currency", flat=True).get(code=policy, active=True)
    batch, _ = batch_request(
        policy=policy,
        budget="relief-north-2026",
        currency=currency,
        items=[_item(one) for one in payments],
        title=title,
        by=by,
        via="command",
        idempotency_key=key,
        as_of=as_of,
    )
    return batch


def _item(payment: Payment) -> dict[str, Any]:
    fields = payment._asdict()
    del fields["refused"]
    return fields


def _signed(batch: InterventionBatch, *, by: User, as_of: datetime) -> None:
    batch_open(batch.pk, workflow_id=batch.workflow_id, as_of=batch.created_at)
    request = batch_request_of(batch.pk)
    if request is None or request.status != "open":
        return
    approvals.request_decide(
        request_id=request.pk,
        by=by,
        verdict="approve",
        reason="Names and amounts compared with the cooperative's list.",
        payload_hash=current_payload(request).hash,
        via="command",
        as_of=as_of,
        on_behalf_of=by,
    )


def _carried_out(item: ReadyItem, *, refused: str) -> None:
    """The saga's steps, in its order, so far as they are not done."""
    this: dict[str, Any] = {"intervention_id": item.intervention_id}
    try:
        # One name executes it: a worker's saga refuses from here on, and ours where it was first.
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
