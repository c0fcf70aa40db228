"""The row of a batch: locked, counted, recorded, told about; and its messages to the engine."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count

from apps.approvals.selectors import request_of
from apps.approvals.services import clock_next
from apps.audit.contracts import ENGINE, Actor
from apps.common.errors import Conflict, NotFound
from apps.common.money import exact
from apps.engine import process
from apps.engine import services as engine
from apps.engine.process import Carrier, Process
from apps.engine.services import timings
from apps.interventions.contracts import (
    BATCH_SUBJECT,
    BATCH_WORKFLOW,
    SIGNAL_BATCH_CHANGED,
    TASK_QUEUE,
    BatchFacts,
    BatchItemStatus,
    BatchProgress,
    BatchRef,
    BatchStatus,
    InterventionStatus,
)
from apps.interventions.models import BatchItem, Intervention, InterventionBatch
from apps.live.broadcast import broadcast
from apps.notifications.services import notify

if TYPE_CHECKING:
    from apps.approvals.models import ApprovalRequest

#: After so many items a run continues as new: a long history is slow to replay.
ITEMS_PER_RUN = 500

#: Of items whose intervention has not ended when its batch goes on without it.
UNSETTLED = "unsettled"
NEEDS_ATTENTION = "needs_attention"
ITEM_DETAILS = {
    UNSETTLED: "Its process has ended before it could finish; what it left is being settled.",
    NEEDS_ATTENTION: "It has not ended: a person is asked what is to become of it.",
}

FIELDS = ("amount", "target", "justification", "region")
FAILURE_COLUMNS = ("number", *FIELDS, "code", "detail")

_ITEM_ENDS = {
    InterventionStatus.EXECUTED: BatchItemStatus.DONE,
    InterventionStatus.CANCELLED: BatchItemStatus.CANCELLED,
}


# --- the row -------------------------------------------------------------------------------------
def batch_lock(batch_id: UUID | str) -> InterventionBatch:
    """The row, locked until the end of the transaction. NotFound for what is no batch."""
    return process.locked(BATCH, batch_id, "policy", "budget", "requested_by")


def batch_pk(batch_id: UUID | str) -> UUID:
    return process.id_of(BATCH, batch_id)


def unknown() -> NotFound:
    return process.unknown(BATCH)


def check_carrier(batch: InterventionBatch, workflow_id: str) -> None:
    """Conflict `not_its_workflow` unless this workflow carries the batch now."""
    if batch.workflow_id != workflow_id:
        raise Conflict(
            f"This batch belongs to the workflow {batch.workflow_id}.", code="not_its_workflow"
        )


def batch_save(batch: InterventionBatch, *fields: str) -> None:
    """Write the fields and a new version, and tell open pages. Joins the caller's transaction."""
    process.save(BATCH, batch, *fields)


def announce(batch: InterventionBatch) -> None:
    """Tell the pages that show this batch."""
    process.announce(BATCH, batch)


def batch_record(
    batch: InterventionBatch,
    event: str,
    *,
    by: Actor = ENGINE,
    via: str = "engine",
    **body: object,
) -> None:
    """An audit entry about the batch. Never the items: their digest stands for them."""
    process.record(BATCH, batch, f"{BATCH_SUBJECT}.{event}", by=by, via=via, **body)


def batch_end(
    batch: InterventionBatch,
    status: BatchStatus,
    *,
    as_of: datetime,
    code: str = "",
    detail: str = "",
    by: Actor = ENGINE,
    via: str = "engine",
) -> None:
    """End it for good: what waits is never begun. Joins the transaction that holds the lock."""
    batch.items.filter(status=BatchItemStatus.WAITING).update(
        status=BatchItemStatus.CANCELLED, settled_at=as_of
    )
    batch.status = status
    batch.error_code = code[:60]
    batch.error_detail = detail[:5000]
    batch.settled_at = max(as_of, batch.created_at)
    batch_save(batch, "status", "error_code", "error_detail", "settled_at")
    progress = progress_of(batch)
    batch_record(
        batch,
        status,
        by=by,
        via=via,
        code=code,
        detail=detail,
        done=progress.done,
        failed=progress.failed,
        cancelled=progress.cancelled,
    )
    # Of a rejection the request tells, with the reason.
    if code != "rejected" and by != batch.requested_by:
        notify(
            key=f"{BATCH_SUBJECT}:{batch.pk}:{status}",
            recipients=[batch.requested_by],
            kind=f"intervention.batch_{status}",
            title=f"Batch {status}: {batch}"[:200],
            text=detail or f"{progress.done} executed, {progress.failed} failed.",
            url=batch_url(batch.pk),
        )


def batch_url(batch_id: UUID | str) -> str:
    return f"/interventions/batches/{batch_id}/"


# --- items ---------------------------------------------------------------------------------------
def item_settled(intervention: Intervention) -> None:
    """Its item of a batch says how the intervention ended. Joins the transaction that ends it."""
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
    """A person is asked about it now: an item that its batch has left says so. Joins."""
    if intervention.batch_id is not None:
        BatchItem.objects.filter(intervention=intervention, error_code=UNSETTLED).update(
            error_code=NEEDS_ATTENTION, error_detail=ITEM_DETAILS[NEEDS_ATTENTION]
        )


def progress_of(batch: InterventionBatch) -> BatchProgress:
    """Counted by the index (batch, status): a counter would be a row that all items want."""
    return progress_by_batch([batch.pk])[batch.pk]


def progress_by_batch(batch_ids: Iterable[UUID]) -> dict[UUID, BatchProgress]:
    """The same of many, in one query."""
    counts: dict[UUID, Counter[str]] = defaultdict(Counter)
    ids = list(batch_ids)
    rows = (
        BatchItem.objects.filter(batch__in=ids)
        .order_by()
        .values_list("batch", "status")
        .annotate(number=Count("pk"))
    )
    for batch_id, status, number in rows:
        counts[batch_id][status] = number
    return {pk: BatchProgress(total=counts[pk].total(), **counts[pk]) for pk in ids}


def batch_failures(batch: InterventionBatch) -> Iterator[dict[str, Any]]:
    """The items that have failed, in order, with FAILURE_COLUMNS: as they came, where one was not
    sound. Of one that was kept in part, or was no object, `target` has what there is."""
    failed = batch.items.filter(status=BatchItemStatus.FAILED).order_by("number")
    for item in failed.iterator(chunk_size=1000):
        texts: dict[str, Any] = dict.fromkeys(FIELDS, "")
        if item.amount is not None:
            texts = {name: getattr(item, name) for name in FIELDS}
            texts["amount"] = exact(item.amount, batch.currency)
        elif isinstance(item.raw, dict) and "cut" not in item.raw:
            texts |= {name: item.raw[name] for name in FIELDS if name in item.raw}
        else:
            texts["target"] = item.raw["cut"] if isinstance(item.raw, dict) else item.raw
        code, detail = item.error_code, item.error_detail
        yield {"number": item.number, **texts, "code": code, "detail": detail}


# --- the request for its signature ----------------------------------------------------------------
def batch_request_key(batch_id: UUID | str) -> str:
    """Key of its one request for a signature."""
    return f"{BATCH_SUBJECT}:{batch_id}"


def batch_request_of(batch_id: UUID | str) -> "ApprovalRequest | None":
    """Its request for a signature, if one was opened."""
    return request_of(batch_request_key(batch_id))


def batch_facts(batch: InterventionBatch) -> BatchFacts:
    """The contract that its workflow re-reads."""
    request = batch_request_of(batch.pk) if batch.status == BatchStatus.PENDING else None
    return BatchFacts(
        status=batch.status,
        progress=progress_of(batch),
        request_id=str(request.pk) if request else "",
        expires_at=request.expires_at if request else None,
        next_at=clock_next(request) if request else None,
        code=batch.error_code,
        detail=batch.error_detail,
    )


# --- its workflow --------------------------------------------------------------------------------
def _ref(batch: InterventionBatch, again: bool) -> BatchRef:
    return BatchRef(
        str(batch.pk),
        timings(),
        concurrency=settings.BATCH_CONCURRENCY,
        per_run=ITEMS_PER_RUN,
    )


CARRIER: Carrier[InterventionBatch] = Carrier(BATCH_WORKFLOW, _ref, process.WAITING_BACKSTOP)

BATCH = Process(
    subject=BATCH_SUBJECT,
    title="Batch of interventions",
    noun="batch",
    model=InterventionBatch,
    queue=TASK_QUEUE,
    url_name="batch",
    carriers=(CARRIER,),
    needs=lambda batch: None if BatchStatus(batch.status).terminal else CARRIER,
    open_rows=lambda: InterventionBatch.objects.unsettled(),
    # While it waits for its signature its request names who is to be told.
    keeps_id=lambda batch: batch.status == BatchStatus.PENDING,
    lock=batch_lock,
    list_topics=("intervention-batches",),
)


def batch_start(batch: InterventionBatch) -> None:
    """Start the workflow of a new batch. Joins the caller's transaction."""
    process.start(BATCH, batch)


def batch_wake(batch: InterventionBatch) -> None:
    """Have its workflow read the row again; where that has ended and is needed, a new one.

    Joins the caller's transaction, after the row was saved: its version makes the key.
    """
    if not engine.workflow_is_closed(workflow_id=batch.workflow_id):
        event = f"changed:{batch.version}"
        process.wake(BATCH, batch, signal=SIGNAL_BATCH_CHANGED, event=event)
    elif batch.status == BatchStatus.RUNNING:
        process.start_again(BATCH, batch)
