"""The execution of a batch: which items come next, and the outcome of an item.

Lock order: the batch, then its waiting items; an intervention, then its item.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.approvals.selectors import requests_about
from apps.approvals.signed_runs import prepare
from apps.common.canonical_json import digest
from apps.common.identifiers import new_id
from apps.common.language import for_record
from apps.interventions.contracts import (
    ATTENTION_KIND,
    SUBJECT,
    BatchItemStatus,
    InterventionStatus,
    PreparedItems,
    ReadyItem,
)
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.services.batches_rows import (
    ITEM_DETAILS,
    NEEDS_ATTENTION,
    RUN,
    UNSETTLED,
)
from apps.interventions.services.rows import intervention_lock, record
from apps.live.broadcast import broadcast


def items_prepare(
    batch_id: UUID | str, *, workflow_id: str, limit: int, known: Collection[int], as_of: datetime
) -> PreparedItems:
    """Return up to `limit` items to execute now, as chosen by `runs.begin_next`, each with an
    intervention of its own. Raises NotFound, Conflict `not_its_workflow`."""

    def begin(batch: InterventionBatch, item: BatchItem) -> dict[str, Any]:
        broadcast("interventions", id=str(batch.pk), version=batch.version)
        return {"intervention": _intervention(batch, item, as_of=as_of)}

    facts, items = prepare(
        RUN,
        batch_id,
        workflow_id=workflow_id,
        limit=limit,
        known=known,
        begin=begin,
        as_of=as_of,
    )
    ready = [ReadyItem(item.number, str(item.intervention_id)) for item in items]
    return PreparedItems(facts=facts, items=tuple(ready))


def item_note(*, intervention_id: UUID | str, as_of: datetime) -> None:
    """Note that the saga of an item has ended, or that its end is not known: the batch continues
    without it.

    If the intervention has not ended, the item fails with `needs_attention`, or `unsettled` while
    no person's decision is open; when the intervention ends later, the item gets its outcome. No-op
    for an item that has its outcome.
    """
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        if intervention.has_ended:
            return
        questions = requests_about(SUBJECT, intervention.pk, kind=ATTENTION_KIND)
        code = NEEDS_ATTENTION if questions.open().exists() else UNSETTLED
        noted = BatchItem.objects.filter(
            intervention=intervention, status=BatchItemStatus.RUNNING
        ).update(
            status=BatchItemStatus.FAILED,
            error_code=code,
            error_detail=for_record(ITEM_DETAILS[code]),
            settled_at=as_of,
        )
        if noted:
            record(intervention, f"{SUBJECT}.left_by_batch", batch=intervention.batch_id)


# --- helpers -------------------------------------------------------------------------------------
def _intervention(batch: InterventionBatch, item: BatchItem, *, as_of: datetime) -> Intervention:
    """Create the item's intervention, requested and signed with the batch."""
    assert item.amount is not None  # waiting items are valid
    identifier = new_id()
    intervention = Intervention.objects.create(
        id=identifier,
        policy=batch.policy,
        budget=batch.budget,
        batch=batch,
        amount=item.amount,
        currency=batch.currency,
        target=item.target,
        justification=item.justification,
        region=item.region,
        requested_by=batch.requested_by,
        request_digest=digest([str(batch.pk), item.number]),
        status=InterventionStatus.APPROVED,
        workflow_id=f"{SUBJECT}-{identifier}",
        created_at=as_of,
    )
    record(
        intervention,
        f"{SUBJECT}.requested",
        by=batch.requested_by,
        via="batch",
        batch=batch.pk,
        number=item.number,
        amount=item.amount,
        currency=batch.currency,
        target=item.target,
        region=item.region,
    )
    return intervention
