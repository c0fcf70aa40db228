"""The row of a batch: its process in the engine, its notifications, and its items."""

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext

from apps.approvals.subject import questions_close
from apps.audit.contracts import Actor
from apps.common.csvio import by_number
from apps.common.language import for_record
from apps.common.language import lazy as _
from apps.common.money import unambiguous
from apps.engine import process, runs
from apps.engine.process import Carrier, Process
from apps.engine.runs import RunSpec
from apps.engine.services import timings
from apps.interventions.contracts import (
    BATCH_SUBJECT,
    BATCH_WORKFLOW,
    SIGNAL_BATCH_CHANGED,
    TASK_QUEUE,
    BatchItemStatus,
    BatchRef,
    BatchStatus,
    InterventionStatus,
)
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.interventions.services.batches_input import FIELDS
from apps.interventions.services.commands import CANCEL_PERMISSION
from apps.live.broadcast import broadcast
from apps.notifications.services import notify

#: After this many items a run continues as new, because a long history is slow to replay.
ITEMS_PER_RUN = 500
#: Relations that are fetched with the row.
RELATED = ("policy", "budget", "requested_by")

#: Code of an item whose intervention has not ended when the batch continues without it.
UNSETTLED = "unsettled"
NEEDS_ATTENTION = "needs_attention"
ITEM_DETAILS = {
    UNSETTLED: _("Its process has ended before it could finish; what it left is being settled."),
    NEEDS_ATTENTION: _("It has not ended: a person is asked what is to become of it."),
}

#: What the requester is told of the end.
_TITLES = {
    BatchStatus.COMPLETED: _("Batch completed: {batch}"),
    BatchStatus.REJECTED: _("Batch rejected: {batch}"),
    BatchStatus.CANCELLED: _("Batch cancelled: {batch}"),
}

FAILURE_COLUMNS = ("number", *FIELDS, "code", "detail")

BATCH_ENDS = {status for status in BatchStatus if status.terminal}
_ITEM_ENDS = {
    InterventionStatus.EXECUTED: BatchItemStatus.DONE,
    InterventionStatus.CANCELLED: BatchItemStatus.CANCELLED,
}


# --- the row -------------------------------------------------------------------------------------
def batch_lock(batch_id: UUID | str) -> InterventionBatch:
    """Return the row, locked until the end of the transaction. Raises NotFound."""
    return process.row_locked(BATCH, batch_id, *RELATED)


def _ref(batch: InterventionBatch, again: bool) -> BatchRef:
    return BatchRef(
        str(batch.pk), timings(), concurrency=settings.BATCH_CONCURRENCY, per_run=ITEMS_PER_RUN
    )


def _record(batch: InterventionBatch, event: str, *, by: Actor, via: str, **body: Any) -> None:
    """Write an audit entry, at the batch's end with the figures. It never lists the items; their
    digest identifies them.

    If somebody else ended the batch, notify the requester. A cancellation also closes the request
    for a signature.
    """
    if event not in BATCH_ENDS:
        process.record(BATCH, batch, f"{BATCH_SUBJECT}.{event}", by=by, via=via, **body)
        return
    progress = progress_of(batch)
    figures = {"done": progress.done, "failed": progress.failed, "cancelled": progress.cancelled}
    process.record(BATCH, batch, f"{BATCH_SUBJECT}.{event}", by=by, via=via, **body, **figures)
    # The request for a signature already notifies of a rejection, with the reason.
    if batch.error_code != "rejected" and by != batch.requested_by:
        notify(
            key=f"{BATCH_SUBJECT}:{batch.pk}:{event}",
            recipients=[batch.requested_by],
            kind=f"intervention.batch_{event}",
            title=_TITLES[BatchStatus(event)].format(batch=batch)[:200],
            text=batch.error_detail
            or gettext("{done} executed, {failed} failed.").format(
                done=progress.done, failed=progress.failed
            ),
            url=f"/interventions/batches/{batch.pk}/",
        )
    if event == BatchStatus.CANCELLED and batch.settled_at is not None:
        why, at = batch.error_detail, batch.settled_at
        questions_close(BATCH, batch, by=by, reason=why, as_of=at)


CARRIER: Carrier[InterventionBatch] = Carrier(BATCH_WORKFLOW, _ref, process.WAITING_BACKSTOP)

BATCH = Process(
    subject=BATCH_SUBJECT,
    title=_("Batch of interventions"),
    noun="batch",
    missing=_("There is no such batch."),
    opens=_("Open the batch"),
    model=InterventionBatch,
    queue=TASK_QUEUE,
    url_name="batch",
    carriers=(CARRIER,),
    needs=lambda batch: None if BatchStatus(batch.status).terminal else CARRIER,
    open_rows=lambda: InterventionBatch.objects.unsettled(),
    # A waiting batch keeps its id, because the request for a signature names the workflow to
    # signal.
    keeps_id=lambda batch: batch.status == BatchStatus.PENDING,
    lock=batch_lock,
    list_topics=("intervention-batches",),
)
RUN: RunSpec[InterventionBatch] = RunSpec(
    process=BATCH,
    items=BatchItem,
    run="batch",
    record=_record,
    signal=SIGNAL_BATCH_CHANGED,
    act=CANCEL_PERMISSION,
)
#: The number of items in each status.
progress_of = partial(runs.progress_of, RUN)


# --- items ---------------------------------------------------------------------------------------
def item_settled(intervention: Intervention) -> None:
    """Set the batch item to the intervention's outcome. Joins the transaction that ends the
    intervention."""
    if intervention.batch_id is None:
        return
    status = _ITEM_ENDS.get(InterventionStatus(intervention.status), BatchItemStatus.FAILED)
    BatchItem.objects.filter(intervention=intervention).update(
        status=status,
        error_code=intervention.error_code,
        error_detail=intervention.error_detail,
        settled_at=intervention.settled_at,
    )
    broadcast(
        f"{BATCH_SUBJECT}:{intervention.batch_id}",
        id=str(intervention.batch_id),
        version=intervention.version,
    )


def item_asked(intervention: Intervention) -> None:
    """Note on an item that its batch has left that a person's decision is now open. Joins the
    caller's transaction."""
    if intervention.batch_id is not None:
        BatchItem.objects.filter(intervention=intervention, error_code=UNSETTLED).update(
            error_code=NEEDS_ATTENTION, error_detail=for_record(ITEM_DETAILS[NEEDS_ATTENTION])
        )


def batch_failures(batch: InterventionBatch) -> Iterator[dict[str, Any]]:
    """Return the failed items in order, with FAILURE_COLUMNS: of an invalid item, the input as it
    was received. If that was shortened or is no object, `target` has what there is."""
    for item in by_number(batch.items.filter(status=BatchItemStatus.FAILED)):
        texts: dict[str, Any] = dict.fromkeys(FIELDS, "")
        if item.amount is not None:
            texts = {name: getattr(item, name) for name in FIELDS}
            texts["amount"] = unambiguous(item.amount, batch.currency)
        elif isinstance(item.raw, dict) and "cut" not in item.raw:
            texts |= {name: item.raw[name] for name in FIELDS if name in item.raw}
        else:
            texts["target"] = item.raw["cut"] if isinstance(item.raw, dict) else item.raw
        code, detail = item.error_code, item.error_detail
        yield {"number": item.number, **texts, "code": code, "detail": detail}
