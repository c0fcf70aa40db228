"""Working through a batch: which items come next, what became of one, the end, and what the
engine tells of the workflow that carries it.

Lock order: the batch, then its waiting items; an intervention, then its item.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from apps.approvals.selectors import requests_about
from apps.approvals.services import request_cancel
from apps.audit.contracts import ENGINE
from apps.common.canonical_json import digest
from apps.common.identifiers import new_id
from apps.engine import process
from apps.interventions.contracts import (
    ATTENTION_KIND,
    SUBJECT,
    BatchFacts,
    BatchItemStatus,
    BatchStatus,
    InterventionStatus,
    PreparedItems,
    ReadyItem,
)
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.services.batches_rows import (
    BATCH,
    ITEM_DETAILS,
    NEEDS_ATTENTION,
    UNSETTLED,
    announce,
    batch_end,
    batch_facts,
    batch_lock,
    batch_record,
    batch_request_of,
    batch_save,
    check_carrier,
    progress_of,
)
from apps.interventions.services.rows import intervention_lock, is_settled, record
from apps.live.broadcast import broadcast


# --- item by item --------------------------------------------------------------------------------
def items_prepare(
    *,
    batch_id: UUID | str,
    workflow_id: str,
    limit: int,
    known: Collection[int],
    as_of: datetime,
) -> PreparedItems:
    """Up to `limit` items that are to be executed now, each with an intervention of its own.

    First those that are under way and not among `known`: what an earlier try, or an earlier run,
    made ready and nobody is at; then the next that wait. None while the batch does not run. Asked
    again, or by two at once, an item still has one intervention. Raises NotFound, Conflict
    `not_its_workflow`.
    """
    with transaction.atomic(durable=True):
        batch = batch_lock(batch_id)
        check_carrier(batch, workflow_id)
        ready: list[ReadyItem] = []
        if batch.status == BatchStatus.RUNNING:
            running = batch.items.filter(status=BatchItemStatus.RUNNING)
            left = running.exclude(number__in=known).order_by("number")
            ready = [
                ReadyItem(number, str(pk))
                for number, pk in left.values_list("number", "intervention")[:limit]
            ]
            waiting = batch.items.filter(status=BatchItemStatus.WAITING).order_by("number")
            fresh = list(waiting[: max(limit - len(ready), 0)])
            ready += [_begin(batch, item, as_of=as_of) for item in fresh]
            if fresh:
                broadcast("interventions", id=str(batch.pk), version=batch.version)
        announce(batch)
        return PreparedItems(facts=batch_facts(batch), items=tuple(ready))


def item_note(*, intervention_id: UUID | str, as_of: datetime) -> None:
    """The saga of an item has ended, or nobody can say when it will: the batch goes on without it.

    An intervention that has not ended leaves the item failed with `needs_attention`, or
    `unsettled` as long as no person is asked; when it ends after all, the item says how. No-op for
    an item that has its outcome.
    """
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id)
        if is_settled(intervention):
            return
        questions = requests_about(SUBJECT, intervention.pk, kind=ATTENTION_KIND)
        code = NEEDS_ATTENTION if questions.open().exists() else UNSETTLED
        noted = BatchItem.objects.filter(
            intervention=intervention, status=BatchItemStatus.RUNNING
        ).update(
            status=BatchItemStatus.FAILED,
            error_code=code,
            error_detail=ITEM_DETAILS[code],
            settled_at=as_of,
        )
        if noted:
            record(intervention, f"{SUBJECT}.left_by_batch", batch=intervention.batch_id)


def batch_finish(*, batch_id: UUID | str, workflow_id: str, as_of: datetime) -> BatchFacts:
    """Completed, when no item waits or is under way; as it stands in any case.

    Raises NotFound, Conflict `not_its_workflow`.
    """
    with transaction.atomic(durable=True):
        batch = batch_lock(batch_id)
        check_carrier(batch, workflow_id)
        progress = progress_of(batch)
        if batch.status == BatchStatus.RUNNING and not progress.waiting and not progress.running:
            batch_end(batch, BatchStatus.COMPLETED, as_of=as_of)
        announce(batch)
        return batch_facts(batch)


# --- the engine's side ----------------------------------------------------------------------------
def batch_cancelled(*, batch_id: UUID | str, workflow_id: str, as_of: datetime) -> BatchFacts:
    """The engine's own cancellation counts like a person's. No-op once it ended."""
    with transaction.atomic(durable=True):
        batch = batch_lock(batch_id)
        check_carrier(batch, workflow_id)
        _cancel(batch, "cancelled", "Its workflow was cancelled in the engine.", as_of=as_of)
        return batch_facts(batch)


def batch_closed(batch_id: UUID | str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """Its workflow has ended or cannot begin: nothing further is begun.

    Before it was signed it ends as cancelled, and the request with it. Later it is paused, and a
    person resumes or cancels it. Joins the caller's transaction. Nothing when it has ended or
    another workflow carries it.
    """
    batch = process.carried(BATCH, batch_id, workflow_id)
    if batch is None:
        return
    if batch.status == BatchStatus.PENDING:
        _cancel(batch, "workflow_closed", why, as_of=as_of)
        return
    if batch.error_code == "workflow_closed":
        return
    batch.status = BatchStatus.PAUSED
    batch.error_code = "workflow_closed"
    batch.error_detail = f"{why} Nothing further is begun until somebody resumes it."[:5000]
    batch_save(batch, "status", "error_code", "error_detail")
    batch_record(batch, "paused", reason=why)


def batch_restart(*, batch_id: UUID | str) -> None:
    """Start its workflow again from the row, unless it has ended or a start is under way.

    Joins the caller's transaction.
    """
    batch = process.restart(BATCH, batch_id)
    if batch is not None:
        batch_record(batch, "restarted")


def batches_stranded() -> list[str]:
    """Ids of those that no workflow is known to carry (`process.stranded`)."""
    return process.stranded(BATCH)


# --- helpers -------------------------------------------------------------------------------------
def _begin(batch: InterventionBatch, item: BatchItem, *, as_of: datetime) -> ReadyItem:
    """An intervention for the item: asked for and signed with the batch."""
    assert item.amount is not None  # what waits is sound
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
    BatchItem.objects.filter(pk=item.pk, status=BatchItemStatus.WAITING).update(
        status=BatchItemStatus.RUNNING, intervention=intervention
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
    return ReadyItem(item.number, str(identifier))


def _cancel(batch: InterventionBatch, code: str, why: str, *, as_of: datetime) -> None:
    if BatchStatus(batch.status).terminal:
        return
    batch_end(batch, BatchStatus.CANCELLED, code=code, detail=why, as_of=as_of)
    if (request := batch_request_of(batch.pk)) is not None:
        request_cancel(request_id=request.pk, by=ENGINE, reason=why, as_of=as_of)
