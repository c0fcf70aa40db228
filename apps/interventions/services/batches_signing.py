"""The one signature of a batch: on its total, by its policy's rule, with every payment listed."""

from typing import Any

from apps.approvals.contracts import RequestStatus
from apps.approvals.selectors import signed_payload
from apps.approvals.services import signature_needed
from apps.approvals.subject import Decided, SignedSubject
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict
from apps.common.money import exact
from apps.engine import process, runs
from apps.interventions.contracts import BATCH_KIND, BatchStatus
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.services.batches_input import FIELDS
from apps.interventions.services.batches_rows import (
    BATCH,
    RELATED,
    RUN,
    WAITS,
    batch_facts,
)

#: What of an item stands in the payload, in this order.
ITEM_FIELDS = ("number", *FIELDS)


def signed_with_batch(intervention: Intervention) -> bool:
    """Whether it is, to the cent and the letter, an item of a batch that was signed, or of one
    whose total needs no signature. Its policy's rule is not asked about the single amount."""
    item = (
        BatchItem.objects.select_related("batch")
        .filter(intervention=intervention, batch=intervention.batch_id)
        .first()
    )
    if item is None or not _is_this(item, intervention):
        return False
    request = SIGNED_BATCH.request_of(item.batch)
    if request is not None:
        # Of a signed one the digest was compared when it was signed; neither side can change.
        return request.status == RequestStatus.APPROVED and item.batch.started_at is not None
    return item.batch.started_at is not None and not signature_needed(
        kind=BATCH_KIND,
        scope=intervention.policy.code,
        amount=item.batch.amount,
        currency=item.batch.currency,
        requested_by=intervention.requested_by,
    )


def batch_payload(batch: InterventionBatch) -> dict[str, Any]:
    """What is signed: where all of the money goes, payment by payment, as it was asked for.

    Conflict `batch_differs` when the items are not those that were asked for.
    """
    rows = batch.items.filter(amount__isnull=False).order_by("number").values_list(*ITEM_FIELDS)
    items = [
        [number, exact(amount, batch.currency), *rest] for number, amount, *rest in rows.iterator()
    ]
    payload: dict[str, Any] = plain(
        {
            "batch": batch.pk,
            "policy": batch.policy.code,
            "policy_version": batch.policy.version,
            "reversible": batch.policy.reversible,
            "budget": batch.budget.code,
            "currency": batch.currency,
            "total_amount": exact(batch.amount, batch.currency),
            "count": len(items),
            "columns": list(ITEM_FIELDS),
            "items": items,
            "items_digest": batch.items_digest,
            "requested_by": batch.requested_by.audit_id,
        }
    )
    if digest(payload["items"]) != batch.items_digest:
        raise Conflict("The items are not those that were asked for.", code="batch_differs")
    return payload


def _approved(batch: InterventionBatch, decided: Decided) -> None:
    """Signed it runs. Conflict `batch_differs` when what was signed is not what is in the batch: a
    last guard, the tables let neither change."""
    # Only the digest is read, without the list of payments beside it.
    if decided.request_id and batch.items_digest != signed_payload(
        decided.request_id, "items_digest"
    ):
        raise Conflict("What was signed is not this batch.", code="batch_differs")
    batch.status = BatchStatus.RUNNING
    batch.started_at = max(decided.as_of, batch.created_at)
    process.save(BATCH, batch, "status", "started_at")
    signed = decided.request_id is not None
    RUN.record(batch, "running", by=decided.by, via=decided.via, signature_needed=signed)


def _rejected(batch: InterventionBatch, decided: Decided) -> None:
    runs.end(
        RUN,
        batch,
        BatchStatus.REJECTED,
        code=decided.code,
        detail=decided.detail,
        by=decided.by,
        via=decided.via,
        as_of=decided.as_of,
    )


SIGNED_BATCH = SignedSubject(
    row=BATCH,
    kind=BATCH_KIND,
    waits=WAITS,
    payload=batch_payload,
    scope=lambda batch: batch.policy.code,
    title=lambda batch: f"Batch: {batch}",
    on_approved=_approved,
    on_rejected=_rejected,
    facts=batch_facts,
    related=RELATED,
)

batch_open = SIGNED_BATCH.open
batch_read = SIGNED_BATCH.read
batch_expire = SIGNED_BATCH.expire
batch_refuse = SIGNED_BATCH.refuse


# --- helpers -------------------------------------------------------------------------------------
def _is_this(item: BatchItem, intervention: Intervention) -> bool:
    batch = item.batch
    return (
        item.amount,
        item.target,
        item.justification,
        item.region,
        batch.policy_id,
        batch.budget_id,
        batch.currency,
        batch.requested_by_id,
    ) == (
        intervention.amount,
        intervention.target,
        intervention.justification,
        intervention.region,
        intervention.policy_id,
        intervention.budget_id,
        intervention.currency,
        intervention.requested_by_id,
    )
