"""Batches: made of events that wait, left by events that need more, released when nobody carries
them. Every verb locks the batch first, then its events by their ids."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Func, IntegerField, QuerySet
from django.utils import timezone

from apps.common.errors import NotFound
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.engine.contracts import SAGA_BACKSTOP
from apps.engine.outbox import NewCommand
from apps.engine.selectors import unsettled_starts
from apps.engine.services import commands_enqueue, start_command
from apps.payments.contracts import BATCH, BATCH_WORKFLOW, TASK_QUEUE, BatchState
from apps.payments.models import BatchScores, Intake, PaymentBatch

#: Of one batch. With large events it is its bytes that end it, because a worker reads all of them.
MOST_EVENTS, MOST_BYTES = 500, 8 * 1024 * 1024
#: Two, so that one is scored while the other is written.
MOST_OPEN = 2


def batches_make(*, most_open: int) -> int:
    """Put waiting events into batches and start their workflows, the oldest events first, until so
    many batches are open; return how many events. Joins the caller's transaction, which admits
    alone."""
    made = 0
    for _number in range(most_open - PaymentBatch.objects.filter(state=BatchState.OPEN).count()):
        rows = _next()
        if not rows:
            break
        batch = PaymentBatch(n=len(rows))
        batch.workflow_id = f"payments-batch-{batch.pk}"
        batch.save(force_insert=True)
        Intake.objects.filter(pk__in=rows).update(batch=batch, admitted_at=batch.created_at)
        commands_enqueue([_start_of(batch)])
        made += len(rows)
    return made


def batch_locked(batch_id: str | UUID) -> PaymentBatch:
    """Lock the batch. Raises NotFound `batch_not_found`."""
    pk = uuid_of(batch_id)
    rows = PaymentBatch.objects.select_for_update(no_key=True)
    if pk is None or (batch := rows.filter(pk=pk).first()) is None:
        raise NotFound(_("There is no such batch."), code="batch_not_found")
    return batch


def events_open(batch: PaymentBatch) -> "QuerySet[Intake]":
    """Return the batch's events that are neither kept nor in the quarantine, by their ids."""
    return Intake.objects.filter(batch=batch, done_at=None).order_by("pk")


def events_leave(batch: PaymentBatch, pks: Collection[int]) -> int:
    """Let these of the batch's open events leave it; each will have a workflow of its own. Return
    how many left. Joins the caller's transaction, which has locked the batch."""
    return _let_go(batch, alone=True, pks=pks)


def batch_release(*, batch_id: str | UUID, alone: bool) -> bool:
    """Settle an open batch that nobody carries: its open events are admitted again, each `alone` or
    in other batches. Return whether it was open; raises NotFound."""
    with transaction.atomic(durable=True):
        return open_batch_release(batch_id=batch_id, alone=alone)


def open_batch_release(*, batch_id: str | UUID, alone: bool) -> bool:
    """As `batch_release`; joins the caller's transaction."""
    batch = batch_locked(batch_id)
    if batch.state != BatchState.OPEN:
        return False
    _let_go(batch, alone=alone)
    batch_settle(batch, BatchState.LOST)
    return True


def batch_settle(batch: PaymentBatch, state: BatchState) -> None:
    """Settle the locked batch. Its scores are kept with the events, or nobody needs them."""
    BatchScores.objects.filter(batch=batch).delete()
    batch.state, batch.settled_at = state, timezone.now()
    batch.save(update_fields=["state", "settled_at"])


def batches_stale(*, now: datetime, limit: int) -> list[PaymentBatch]:
    """Return batches that were not settled within PAYMENTS_STALE_SECONDS and whose start has
    reached the engine, the oldest first."""
    before = now - timedelta(seconds=settings.PAYMENTS_STALE_SECONDS)
    rows = PaymentBatch.objects.filter(state=BatchState.OPEN, created_at__lt=before)
    stale = list(rows.order_by("created_at")[:limit])
    under_way = unsettled_starts(BATCH, [batch.pk for batch in stale]) if stale else set()
    return [batch for batch in stale if str(batch.pk) not in under_way]


# --- helpers --------------------------------------------------------------------------------------
def _next() -> list[int]:
    """Lock the next events that wait; return their ids."""
    waiting = Intake.objects.filter(admitted_at=None, done_at=None, alone=False).order_by("pk")
    size = Func(F("raw"), function="octet_length", output_field=IntegerField())
    locked = waiting.select_for_update(skip_locked=True, no_key=True)
    rows: list[int] = []
    bytes_of_all = 0
    for pk, length in locked.annotate(size=size).values_list("pk", "size")[:MOST_EVENTS]:
        bytes_of_all += length
        if rows and bytes_of_all > MOST_BYTES:
            break
        rows.append(pk)
    return rows


def _let_go(batch: PaymentBatch, *, alone: bool, pks: Collection[int] | None = None) -> int:
    rows = events_open(batch) if pks is None else events_open(batch).filter(pk__in=pks)
    locked = list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
    Intake.objects.filter(pk__in=locked).update(batch=None, admitted_at=None, alone=alone)
    return len(locked)


def _start_of(batch: PaymentBatch) -> NewCommand:
    return start_command(
        key=f"{BATCH}:{batch.pk}",
        workflow_id=batch.workflow_id,
        workflow_type=BATCH_WORKFLOW,
        task_queue=TASK_QUEUE,
        args=[{"batch_id": str(batch.pk)}],
        subject_type=BATCH,
        subject_id=str(batch.pk),
        execution_timeout_seconds=SAGA_BACKSTOP,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        unmirrored=True,
    )
