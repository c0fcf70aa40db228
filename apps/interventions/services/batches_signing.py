"""The signature of a batch: one for its total, by its policy's rule, with every payment listed."""

from typing import Any

from django.utils.translation import gettext

from apps.approvals.contracts import RequestStatus
from apps.approvals.services import signature_needed
from apps.approvals.signed_runs import signed_run
from apps.common.canonical_json import digest, plain
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.interventions.contracts import BATCH_KIND
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.services.batches_input import FIELDS
from apps.interventions.services.batches_rows import RELATED, RUN

#: Fields of an item in the payload, in this order.
ITEM_FIELDS = ("number", *FIELDS)


def signed_with_batch(intervention: Intervention) -> bool:
    """Return whether the intervention equals, field by field, an item of a batch that was signed,
    or whose total needs no signature. The policy's rule is not applied to the single amount."""
    item = (
        BatchItem.objects.select_related("batch")
        .filter(intervention=intervention, batch=intervention.batch_id)
        .first()
    )
    if item is None or not _is_this(item, intervention):
        return False
    request = SIGNED_BATCH.request_of(item.batch)
    if request is not None:
        # The digest was compared at the signature, and neither the items nor the payload can change
        # since.
        return request.status == RequestStatus.APPROVED and item.batch.started_at is not None
    return item.batch.started_at is not None and not signature_needed(
        kind=BATCH_KIND,
        scope=intervention.policy.code,
        amount=item.batch.amount,
        currency=item.batch.currency,
        requested_by=intervention.requested_by,
    )


def batch_payload(batch: InterventionBatch) -> dict[str, Any]:
    """Return the payload to sign: where all of the money goes, payment by payment, as requested.

    Raises Conflict `batch_differs` when the items are not those of the request.
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
        raise Conflict(_("The items are not those that were asked for."), code="batch_differs")
    return payload


SIGNED_BATCH = signed_run(
    RUN,
    kind=BATCH_KIND,
    payload=batch_payload,
    scope=lambda batch: batch.policy.code,
    title=lambda batch: gettext("Batch: {batch}").format(batch=batch),
    related=RELATED,
)


# --- helpers -------------------------------------------------------------------------------------
def _is_this(item: BatchItem, intervention: Intervention) -> bool:
    """Return whether the intervention has the fields of the item and of its batch."""
    own = all(getattr(item, name) == getattr(intervention, name) for name in FIELDS)
    shared = ("policy_id", "budget_id", "currency", "requested_by_id")
    return own and all(getattr(item.batch, name) == getattr(intervention, name) for name in shared)
