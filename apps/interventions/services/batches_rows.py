"""The row of a batch: locked, counted, recorded, told about; and its messages to the engine."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Count, QuerySet

from apps.approvals.models import ApprovalRequest
from apps.approvals.services import clock_next
from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import entry_record
from apps.common.errors import Conflict, NotFound
from apps.common.identifiers import uuid_of
from apps.engine import services as engine
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE
from apps.engine.models import EngineCommand
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
from apps.interventions.services.commands import APPROVAL_BACKSTOP_SECONDS
from apps.live.broadcast import broadcast
from apps.notifications.services import notify

#: After so many items a run continues as new: a long history is slow to replay.
ITEMS_PER_RUN = 500

#: Of items whose intervention has not ended when its batch goes on without it.
UNSETTLED = "unsettled"
NEEDS_ATTENTION = "needs_attention"
ITEM_DETAILS = {
    UNSETTLED: "Its process has ended before it could finish; what it left is being settled.",
    NEEDS_ATTENTION: "It has not ended: a person is asked what is to become of it.",
}

_ITEM_ENDS = {
    InterventionStatus.EXECUTED: BatchItemStatus.DONE,
    InterventionStatus.CANCELLED: BatchItemStatus.CANCELLED,
}


# --- the row -------------------------------------------------------------------------------------
def batch_lock(batch_id: UUID | str) -> InterventionBatch:
    """The row, locked until the end of the transaction. NotFound for what is no batch."""
    row = (
        InterventionBatch.objects.select_for_update(of=("self",), no_key=True)
        .select_related("policy", "budget", "requested_by")
        .filter(pk=batch_pk(batch_id))
        .first()
    )
    if row is None:
        raise unknown()
    return row


def batch_pk(batch_id: UUID | str) -> UUID:
    pk = uuid_of(batch_id)
    if pk is None:
        raise unknown()
    return pk


def unknown() -> NotFound:
    return NotFound("There is no such batch.")


def check_carrier(batch: InterventionBatch, workflow_id: str) -> None:
    """Conflict `not_its_workflow` unless this workflow carries the batch now."""
    if batch.workflow_id != workflow_id:
        raise Conflict(
            f"This batch belongs to the workflow {batch.workflow_id}.", code="not_its_workflow"
        )


def batch_save(batch: InterventionBatch, *fields: str) -> None:
    """Write the fields and a new version, and tell open pages. Joins the caller's transaction."""
    batch.version += 1
    batch.save(update_fields=["version", *fields])
    announce(batch)
    broadcast("intervention-batches", id=str(batch.pk), version=batch.version)


def announce(batch: InterventionBatch) -> None:
    """Tell the pages that show this batch."""
    broadcast(f"{BATCH_SUBJECT}:{batch.pk}", id=str(batch.pk), version=batch.version)


def batch_record(
    batch: InterventionBatch,
    event: str,
    *,
    by: Actor = ENGINE,
    via: str = "engine",
    **body: object,
) -> None:
    """An audit entry about the batch. Never the items: their digest stands for them."""
    entry_record(
        action=f"{BATCH_SUBJECT}.{event}",
        subject_type=BATCH_SUBJECT,
        subject_id=str(batch.pk),
        by=by,
        via=via,
        body=body,
    )


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


# --- the request for its signature ----------------------------------------------------------------
def batch_request_key(batch_id: UUID | str) -> str:
    """Key of its one request for a signature."""
    return f"{BATCH_SUBJECT}:{batch_id}"


def batch_request_of(batch_id: UUID | str) -> ApprovalRequest | None:
    """Its request for a signature, if one was opened."""
    return ApprovalRequest.objects.filter(key=batch_request_key(batch_id)).first()


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


# --- messages to the engine -----------------------------------------------------------------------
def batch_start(batch: InterventionBatch) -> None:
    """Start the workflow that carries it. Joins the caller's transaction.

    While it waits for its signature the id stays: the request names who is to be told. Later every
    start has an id of its own: the engine gives one that has completed to nobody.
    """
    number = batch_starts(batch).count() + 1
    if number > 1 and batch.status != BatchStatus.PENDING:
        batch.workflow_id = f"{BATCH_SUBJECT}-{batch.pk}-{number}"
        batch_save(batch, "workflow_id")
    engine.workflow_start(
        key=f"{BATCH_SUBJECT}:{batch.pk}:start:{number}",
        workflow_id=batch.workflow_id,
        workflow_type=BATCH_WORKFLOW,
        task_queue=TASK_QUEUE,
        args=[
            BatchRef(
                str(batch.pk),
                engine.timings(),
                concurrency=settings.BATCH_CONCURRENCY,
                per_run=ITEMS_PER_RUN,
            )
        ],
        subject_type=BATCH_SUBJECT,
        subject_id=str(batch.pk),
        execution_timeout_seconds=APPROVAL_BACKSTOP_SECONDS,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        search_attributes={
            SUBJECT_ATTRIBUTE: f"{BATCH_SUBJECT}:{batch.pk}",
            KIND_ATTRIBUTE: BATCH_SUBJECT,
        },
        allow_duplicate_failed=number > 1,
    )


def batch_wake(batch: InterventionBatch) -> None:
    """Have its workflow read the row again; where that has ended and is needed, a new one.

    Joins the caller's transaction, after the row was saved: its version makes the key.
    """
    if engine.workflow_is_closed(workflow_id=batch.workflow_id):
        if batch.status == BatchStatus.RUNNING:
            batch_start(batch)
        return
    engine.workflow_signal(
        key=f"{BATCH_SUBJECT}:{batch.pk}:changed:{batch.version}",
        workflow_id=batch.workflow_id,
        task_queue=TASK_QUEUE,
        name=SIGNAL_BATCH_CHANGED,
        subject_type=BATCH_SUBJECT,
        subject_id=str(batch.pk),
    )


def batch_starts(batch: InterventionBatch) -> QuerySet[EngineCommand]:
    return EngineCommand.objects.filter(
        kind="start", subject_type=BATCH_SUBJECT, subject_id=str(batch.pk)
    )
