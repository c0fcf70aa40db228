"""Admits events: an event that was taken in is carried, by its own workflow or in a batch, only
while few are open."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.common.failpoints import failpoint
from apps.common.locks import transaction_lock
from apps.engine.contracts import SAGA_BACKSTOP
from apps.engine.outbox import NewCommand
from apps.engine.selectors import unsettled_starts
from apps.engine.services import commands_enqueue, start_command
from apps.payments.contracts import EVENT, EVENT_WORKFLOW, TASK_QUEUE, Lane
from apps.payments.models import Intake
from apps.payments.services import batches, breaker

#: The lock of whoever admits.
LOCK = "payments.admission"
#: Of one transaction; there are never more slots than PAYMENTS_MAX_OPEN.
MOST_AT_ONCE = 500
#: So many events more while the breaker is open: somebody has to send the probe.
PROBES = 1
#: A probe that has not ended after so many pauses of the breaker gives its place to the next event.
PROBE_HOLD = 10


def events_admit() -> int:
    """Start the workflows of as many waiting events as there are slots, the oldest first; return
    how many events. In the batch lane only those that have left a batch have their own. Rows and
    commands commit together."""
    with transaction.atomic(durable=True):
        # Two leaders at once, for the moment of a change, admit in turn.
        transaction_lock(LOCK)
        batched = settings.PAYMENTS_LANE == Lane.BATCH
        admitted = _admit(only_alone=batched)
        if batched:
            most = batches.MOST_OPEN if breaker.is_closed() else PROBES
            admitted += batches.batches_make(most_open=most)
        if admitted:
            failpoint("events_admit.uncommitted")
        return admitted


def events_stale(*, now: datetime, limit: int) -> list[Intake]:
    """Return events with workflows of their own that were not done within PAYMENTS_STALE_SECONDS,
    the oldest first."""
    before = now - timedelta(seconds=settings.PAYMENTS_STALE_SECONDS)
    rows = Intake.objects.filter(admitted_at__lt=before, done_at=None, batch=None)
    return list(rows.order_by("admitted_at").defer("raw")[:limit])


def start_is_under_way(row: Intake) -> bool:
    """Return whether a start of the event has not reached the engine yet."""
    return bool(unsettled_starts(EVENT, [row.pk]))


def event_start_again(*, intake_id: int) -> bool:
    """Start the workflow of an event that nobody carries again; return whether it was open."""
    with transaction.atomic(durable=True):
        row = (
            Intake.objects.select_for_update(no_key=True)
            .filter(pk=intake_id, done_at=None)
            .defer("raw")
            .first()
        )
        if row is None:
            return False
        row.attempt += 1
        Intake.objects.filter(pk=row.pk).update(
            attempt=F("attempt") + 1, admitted_at=timezone.now()
        )
        commands_enqueue([start_of(row)])
        return True


def start_of(row: Intake) -> NewCommand:
    """Return the command that starts the workflow of the event's attempt."""
    return start_command(
        key=_key(row),
        workflow_id=row.event_id,
        workflow_type=EVENT_WORKFLOW,
        task_queue=TASK_QUEUE,
        args=[{"event_id": row.event_id}],
        subject_type=EVENT,
        subject_id=str(row.pk),
        execution_timeout_seconds=SAGA_BACKSTOP,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        allow_duplicate_failed=row.attempt > 1,
        unmirrored=True,
    )


def free_slots() -> int:
    """Return how many workflows more of single events may be open now; may be below zero."""
    under_way = Intake.objects.filter(admitted_at__isnull=False, done_at=None, batch=None)
    free = settings.PAYMENTS_MAX_OPEN - under_way.count()
    if breaker.is_closed():
        return free
    # An event that the service fails at for ever must not hold the place of the probe for ever: it
    # would be the only one to ask, and the breaker would stay open.
    since = timezone.now() - timedelta(seconds=PROBE_HOLD * settings.INFERENCE_PROBE_SECONDS)
    return min(free, PROBES - under_way.filter(admitted_at__gte=since).count())


# --- helpers --------------------------------------------------------------------------------------
def _admit(*, only_alone: bool) -> int:
    free = free_slots()
    if free <= 0:
        return 0
    waiting = Intake.objects.filter(admitted_at=None, done_at=None).order_by("id")
    if only_alone:
        waiting = waiting.filter(alone=True)
    locked = waiting.select_for_update(skip_locked=True, no_key=True).defer("raw")
    rows = list(locked[: min(free, MOST_AT_ONCE)])
    if rows:
        commands_enqueue([start_of(row) for row in rows])
        Intake.objects.filter(pk__in=[row.pk for row in rows]).update(admitted_at=timezone.now())
    return len(rows)


def _key(row: Intake) -> str:
    return f"{EVENT}:{row.pk}:{row.attempt}"
