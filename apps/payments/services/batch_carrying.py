"""Carries the events of a batch: checks them against the rules, and keeps them with their scores,
in few statements. What comes of an event is what `carrying` makes of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from apps.common.errors import Invalid
from apps.common.exact_json import written
from apps.common.failpoints import failpoint
from apps.engine.services import timings
from apps.live.broadcast import broadcast
from apps.payments.contracts import (
    STATUSES,
    BatchResult,
    BatchState,
    BatchValidated,
    ChurnPrediction,
    FraudScore,
    Lane,
    PersistInput,
    RetryStrategy,
    Scoring,
    Stage,
)
from apps.payments.models import Intake, PaymentBatch, PaymentEvent
from apps.payments.rules import failures_of
from apps.payments.services.batch_scores import scores_of, steps_for
from apps.payments.services.batches import (
    batch_locked,
    batch_release,
    batch_settle,
    events_leave,
    events_open,
)
from apps.payments.services.carrying import event_of_intake, event_values, events_end
from apps.payments.services.quarantine import replayed
from apps.payments.services.rules import rules_in_force


def batch_validate(*, batch_id: str) -> BatchValidated:
    """Check the batch's open events against the rules; return which scores they need. Those that
    fail are in the quarantine, in the same transaction. Again, nothing is written twice.

    An event that cannot be carried like the others leaves the batch. Raises NotFound
    `batch_not_found`.
    """
    now, rules = timezone.now(), rules_in_force()
    with transaction.atomic(durable=True):
        batch = batch_locked(batch_id)
        scorings: set[Scoring] = set()
        failed: dict[int, list[Mapping[str, str]]] = {}
        unreadable = []
        rows = events_open(batch).only("event_id", "raw")
        for intake in rows if batch.state == BatchState.OPEN else ():
            try:
                fields = event_of_intake(intake).fields
                failures = failures_of(fields, rules, now=now)
                if failures:
                    failed[intake.pk] = [failure.as_json() for failure in failures]
                else:
                    scorings.add(STATUSES[fields["status"]])
            except (Invalid, KeyError):
                # Nobody asks for its status where that rule is switched off.
                unreadable.append(intake.pk)
        if unreadable:
            events_leave(batch, unreadable)
        if failed:
            # Only these are locked: somebody may have carried one of them by hand meanwhile.
            ending = events_open(batch).filter(pk__in=failed).select_for_update(no_key=True)
            events_end([(row, failed[row.pk]) for row in ending], stage=Stage.VALIDATE)
        failpoint("batch_validate.uncommitted")
    return BatchValidated(steps_for(scorings), timings())


def batch_persist(*, batch_id: str, run_id: str) -> BatchResult:
    """Keep the batch's open events with their scores, and settle the batch; again, by whoever,
    there is one row each. An event without a score that it needs leaves the batch, and all do whose
    rows PostgreSQL refuses together. Raises NotFound `batch_not_found`."""
    try:
        with transaction.atomic(durable=True):
            batch = batch_locked(batch_id)
            if batch.state == BatchState.OPEN:
                _keep(batch, run_id)
                batch_settle(batch, BatchState.DONE)
                failpoint("batch_persist.uncommitted")
                broadcast("payments", id="", version=0)
    except (DataError, IntegrityError):
        batch_release(batch_id=batch_id, alone=True)
    kept = Intake.objects.filter(batch=batch, stored=True).count()
    return BatchResult(batch_id, "completed", kept)


# --- helpers --------------------------------------------------------------------------------------
def _keep(batch: PaymentBatch, run_id: str) -> None:
    scores = scores_of(batch)
    kept, rows, leave = [], [], []
    rows_open = events_open(batch).only("event_id", "raw", "attempt")
    for intake in rows_open.select_for_update(no_key=True):
        found = scores.get(intake.pk, {})
        try:
            values = event_values(intake, _input(intake, found, run_id))
            needed = steps_for([STATUSES[values["status"]]])
        except (Invalid, KeyError):
            leave.append(intake.pk)
            continue
        if found.keys() >= set(needed):
            kept.append(intake)
            rows.append({**values, "lane": Lane.BATCH.value})
        else:
            leave.append(intake.pk)
    if leave:
        events_leave(batch, leave)
    if kept:
        _insert(rows)
        now = rows[0]["ingested_at"]
        Intake.objects.filter(pk__in=[intake.pk for intake in kept]).update(
            done_at=now, stored=True
        )
        for intake in kept:
            if intake.attempt > 1:
                replayed(intake.pk, now)


def _input(intake: Intake, found: Mapping[str, Any], run_id: str) -> PersistInput:
    fraud: FraudScore | None = found.get("fraud")
    retry: RetryStrategy | None = found.get("retry")
    churn: ChurnPrediction | None = found.get("churn")
    return PersistInput(intake.event_id, fraud, retry, churn, run_id)


_COLUMNS = tuple(
    field.attname for field in PaymentEvent._meta.concrete_fields if not field.primary_key
)
_DEFAULTS = {
    field.attname: field.get_default()
    for field in PaymentEvent._meta.concrete_fields
    if not field.primary_key
}
_JSON = ("metadata", "retry_strategy")
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
# Without constraints: those of the table itself decide.
_TABLE = (
    "CREATE TEMPORARY TABLE payments_arriving ON COMMIT DROP AS "  # noqa: S608 - our own names
    f"SELECT {_NAMES} FROM payment_events WITH NO DATA"
)
_COPY = f"COPY payments_arriving ({_NAMES}) FROM STDIN"
_MOVE = (
    f"INSERT INTO payment_events ({_NAMES}) SELECT {_NAMES} "  # noqa: S608 - our own names
    "FROM payments_arriving ORDER BY event_id ON CONFLICT DO NOTHING"
)


def _insert(rows: Sequence[Mapping[str, Any]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        with cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row([_value(name, row) for name in _COLUMNS])
        cursor.execute(_MOVE)


def _value(name: str, row: Mapping[str, Any]) -> Any:
    value = row.get(name, _DEFAULTS[name])
    return written(value) if name in _JSON and value is not None else value
