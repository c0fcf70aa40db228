"""The row of a bulk decision: locked, started, stopped, recorded, told about. Joins."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from apps.approvals import notifications, validation
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
from apps.audit.services import entry_record
from apps.common.errors import NotFound
from apps.engine import services as engine
from apps.engine.contracts import KIND_ATTRIBUTE, SUBJECT_ATTRIBUTE
from apps.engine.models import EngineCommand
from apps.live.broadcast import broadcast

#: Server-side backstop; a few minutes are the rule.
BACKSTOP_SECONDS = 24 * 3600.0


def lock(bulk_id: UUID | str) -> BulkDecision:
    """All items by number, then the bulk decision: an item's transaction has the same order."""
    pk = id_of(bulk_id)
    items = BulkItem.objects.filter(bulk=pk).order_by("number")
    list(items.select_for_update(no_key=True).values_list("pk"))
    bulk = BulkDecision.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if bulk is None:
        raise unknown()
    return bulk


def get(bulk_id: UUID | str) -> BulkDecision:
    bulk = BulkDecision.objects.filter(pk=id_of(bulk_id)).first()
    if bulk is None:
        raise unknown()
    return bulk


def stop(bulk: BulkDecision, *, by: Actor, via: str, as_of: datetime, reason: str = "") -> None:
    bulk.items.filter(status=ItemStatus.WAITING).update(status=ItemStatus.STOPPED)
    bulk.status = BulkStatus.STOPPED
    bulk.finished_at = as_of
    bulk.version += 1
    bulk.save(update_fields=["status", "finished_at", "version"])
    record(bulk, "stopped", by=by, via=via, reason=reason)
    announce(bulk)


def start(bulk: BulkDecision) -> None:
    """A workflow id of its own for each start: the engine gives an id that ended to nobody."""
    number = starts(bulk).count() + 1
    bulk.workflow_id = f"{BULK_SUBJECT}-{bulk.pk}" + (f"-{number}" if number > 1 else "")
    bulk.version += 1
    bulk.save(update_fields=["workflow_id", "status", "finished_at", "version"])
    engine.workflow_start(
        key=f"{BULK_SUBJECT}:{bulk.pk}:start:{number}",
        workflow_id=bulk.workflow_id,
        workflow_type=BULK_WORKFLOW,
        task_queue=TASK_QUEUE,
        args=[BulkRef(str(bulk.pk), engine.timings())],
        subject_type=BULK_SUBJECT,
        subject_id=str(bulk.pk),
        execution_timeout_seconds=BACKSTOP_SECONDS,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        search_attributes={
            SUBJECT_ATTRIBUTE: f"{BULK_SUBJECT}:{bulk.pk}",
            KIND_ATTRIBUTE: BULK_SUBJECT,
        },
    )


def starts(bulk: BulkDecision) -> QuerySet[EngineCommand]:
    return EngineCommand.objects.filter(
        kind="start", subject_type=BULK_SUBJECT, subject_id=str(bulk.pk)
    )


def id_of(bulk_id: UUID | str) -> UUID:
    try:
        return validation.uuid_of(bulk_id)
    except NotFound:
        raise unknown() from None


def unknown() -> NotFound:
    return NotFound("There is no such bulk decision.")


def record(bulk: BulkDecision, event: str, *, by: Actor, via: str, reason: str = "") -> None:
    entry_record(
        action=f"bulk.{event}",
        subject_type=BULK_SUBJECT,
        subject_id=str(bulk.pk),
        by=by,
        via=via,
        body={
            "verdict": bulk.verdict,
            "reason": reason,
            "total": bulk.total,
            "done": bulk.done,
            "failed": bulk.failed,
        },
    )
    notifications.tell_bulk(bulk, event, by=by)


def announce(bulk: BulkDecision) -> None:
    broadcast(f"{BULK_SUBJECT}:{bulk.pk}", id=str(bulk.pk), version=bulk.version)
