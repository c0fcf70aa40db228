"""The bulk decision's process: lock, audit entry, notifications, live updates, workflow."""

from typing import Any
from uuid import UUID

from apps.approvals import notifications
from apps.approvals.contracts import (
    BULK_SUBJECT,
    BULK_WORKFLOW,
    TASK_QUEUE,
    BulkRef,
    BulkStatus,
)
from apps.approvals.models import BulkDecision, BulkItem
from apps.audit.contracts import Actor
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import Carrier, Process
from apps.engine.runs import RunSpec
from apps.engine.services import timings


def _lock(bulk_id: UUID | str) -> BulkDecision:
    """Lock all items by number, then the bulk decision: the order of an item's transaction."""
    items = BulkItem.objects.filter(bulk=process.id_of(BULK, bulk_id)).order_by("number")
    list(items.select_for_update(no_key=True).values_list("pk"))
    return process.row_locked(BULK, bulk_id)


def _ref(bulk: BulkDecision, again: bool) -> BulkRef:
    return BulkRef(str(bulk.pk), timings())


def _record(
    bulk: BulkDecision, event: str, *, by: Actor, via: str, reason: str = "", **body: Any
) -> None:
    """Write an audit entry with verdict and progress, and notify."""
    process.record(
        BULK,
        bulk,
        f"{BULK_SUBJECT}.{event}",
        by=by,
        via=via,
        verdict=bulk.verdict,
        reason=reason or body.get("detail", ""),
        total=bulk.total,
        done=bulk.done,
        failed=bulk.failed,
    )
    notifications.tell_bulk(bulk, event, by=by)


CARRIER: Carrier[BulkDecision] = Carrier(BULK_WORKFLOW, _ref, process.PASS_BACKSTOP)

BULK = Process(
    subject=BULK_SUBJECT,
    title=_("Bulk decision"),
    noun="bulk decision",
    missing=_("There is no such bulk decision."),
    model=BulkDecision,
    queue=TASK_QUEUE,
    url_name="bulk",
    carriers=(CARRIER,),
    needs=lambda bulk: CARRIER if bulk.runs else None,
    open_rows=lambda: BulkDecision.objects.unsettled(),
    lock=_lock,
)
RUN = RunSpec(
    process=BULK,
    items=BulkItem,
    run="bulk",
    record=_record,
    stopped=BulkStatus.STOPPED,
    counts=True,
)
