"""The row of a bulk decision: locked, started, stopped, recorded, told about. Joins."""

from datetime import datetime
from uuid import UUID

from apps.approvals import notifications
from apps.approvals.contracts import (
    BULK_SUBJECT,
    BULK_WORKFLOW,
    TASK_QUEUE,
    BulkRef,
    BulkStatus,
    ItemStatus,
)
from apps.approvals.models import BulkDecision, BulkItem
from apps.audit.contracts import Actor
from apps.common.errors import NotFound
from apps.engine import process
from apps.engine.process import Carrier, Process
from apps.engine.services import timings


def lock(bulk_id: UUID | str) -> BulkDecision:
    """All items by number, then the bulk decision: an item's transaction has the same order."""
    pk = id_of(bulk_id)
    items = BulkItem.objects.filter(bulk=pk).order_by("number")
    list(items.select_for_update(no_key=True).values_list("pk"))
    return process.row_locked(BULK, pk)


def get(bulk_id: UUID | str) -> BulkDecision:
    bulk = BulkDecision.objects.filter(pk=id_of(bulk_id)).first()
    if bulk is None:
        raise unknown()
    return bulk


def _ref(bulk: BulkDecision, again: bool) -> BulkRef:
    return BulkRef(str(bulk.pk), timings())


CARRIER: Carrier[BulkDecision] = Carrier(BULK_WORKFLOW, _ref, process.PASS_BACKSTOP)

BULK = Process(
    subject=BULK_SUBJECT,
    title="Bulk decision",
    noun="bulk decision",
    model=BulkDecision,
    queue=TASK_QUEUE,
    url_name="bulk",
    carriers=(CARRIER,),
    needs=lambda bulk: CARRIER if bulk.runs else None,
    open_rows=lambda: BulkDecision.objects.unsettled(),
    lock=lock,
)


def stop(bulk: BulkDecision, *, by: Actor, via: str, as_of: datetime, reason: str = "") -> None:
    bulk.items.filter(status=ItemStatus.WAITING).update(status=ItemStatus.STOPPED)
    bulk.status = BulkStatus.STOPPED
    bulk.finished_at = as_of
    process.save(BULK, bulk, "status", "finished_at")
    record(bulk, "stopped", by=by, via=via, reason=reason)


def id_of(bulk_id: UUID | str) -> UUID:
    return process.id_of(BULK, bulk_id)


def unknown() -> NotFound:
    return process.unknown(BULK)


def record(bulk: BulkDecision, event: str, *, by: Actor, via: str, reason: str = "") -> None:
    process.record(
        BULK,
        bulk,
        f"{BULK_SUBJECT}.{event}",
        by=by,
        via=via,
        verdict=bulk.verdict,
        reason=reason,
        total=bulk.total,
        done=bulk.done,
        failed=bulk.failed,
    )
    notifications.tell_bulk(bulk, event, by=by)


def announce(bulk: BulkDecision) -> None:
    process.announce(BULK, bulk)
