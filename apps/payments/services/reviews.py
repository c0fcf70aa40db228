"""Reviews: a workflow beside an event that waits for a person, for at most so many events.

The row waits and decides; its review follows it. A decision signals the review of the row, or
starts one, so that every decision is in the engine too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.common.identifiers import new_id, uuid_of
from apps.common.language import lazy as _
from apps.common.locks import transaction_lock
from apps.engine.contracts import WAITING_BACKSTOP
from apps.engine.outbox import NewCommand
from apps.engine.selectors import unsettled_starts
from apps.engine.services import commands_enqueue, signal_command, start_command, timings
from apps.payments.contracts import (
    QUARANTINED,
    REVIEW_PREFIX,
    REVIEW_WORKFLOW,
    SIGNAL_REVIEW_DECIDED,
    TASK_QUEUE,
    QuarantineState,
    ReviewFacts,
    ReviewRef,
)
from apps.payments.models import QuarantinedEvent
from apps.payments.services.finding import event_unknown

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand

#: Reviews that one turn of the leader opens.
MOST_AT_ONCE = 200


@dataclass(frozen=True)
class Decided:
    """A row that waits no more. `version`: before the decision; `reviewed`: its review is open."""

    pk: UUID
    version: int
    reviewed: bool


def workflow_id_of(pk: UUID | str) -> str:
    """Return the id of the row's review."""
    return f"{REVIEW_PREFIX}{pk}"


def rows_of_reviews(workflow_ids: Collection[str]) -> dict[str, str]:
    """Return workflow id → id of the row that the review belongs to; without other workflows."""
    rows = {workflow_id: row_of_review(workflow_id) for workflow_id in workflow_ids}
    return {workflow_id: row for workflow_id, row in rows.items() if row}


def row_of_review(workflow_id: str) -> str:
    """Return the id of the row that the review belongs to; empty for other workflows."""
    pk = uuid_of(workflow_id.removeprefix(REVIEW_PREFIX))
    return str(pk) if pk is not None and workflow_id == workflow_id_of(pk) else ""


def reviews_open() -> int:
    """Open the reviews of rows that wait, the oldest first, until QUARANTINE_OPEN_REVIEWS are open;
    return how many. Rows and starts commit together."""
    with transaction.atomic(durable=True):
        # Two leaders at once, for the moment of a change, count in turn.
        transaction_lock("payments.reviews")
        waiting = QuarantinedEvent.objects.filter(state=QuarantineState.OPEN)
        most = settings.QUARANTINE_OPEN_REVIEWS
        # Bounded, although it is small: a lower setting may meet more.
        free = most - waiting.exclude(review_at=None).order_by()[:most].count()
        if free <= 0:
            return 0
        # A row that somebody decides about now is theirs.
        rows = waiting.filter(review_at=None).order_by("created_at", "pk")
        locked = rows.select_for_update(skip_locked=True, no_key=True)
        chosen = list(locked.values_list("pk", "version")[: min(free, MOST_AT_ONCE)])
        if chosen:
            commands_enqueue([_start(pk, f"{version}") for pk, version in chosen])
            QuarantinedEvent.objects.filter(pk__in=[pk for pk, _version in chosen]).update(
                review_at=timezone.now()
            )
            failpoint("reviews_open.uncommitted")
        return len(chosen)


def reviews_tell(decided: Sequence[Decided]) -> None:
    """Tell the reviews of these rows, or start them: they find that nobody is waited for. Joins the
    caller's transaction."""
    commands_enqueue(
        [
            _signal(one) if one.reviewed else _start(one.pk, f"{one.version}:decided")
            for one in decided
        ]
    )


def review_facts(*, quarantine_id: str, workflow_id: str) -> ReviewFacts:
    """Return what the review's row says. Raises NotFound `quarantined_event_not_found`, Conflict
    `not_its_workflow`."""
    pk = uuid_of(quarantine_id)
    rows = QuarantinedEvent.objects.filter(pk=pk) if pk else QuarantinedEvent.objects.none()
    row = rows.values("state", "attempt", "code").first()
    if row is None:
        raise event_unknown()
    if row_of_review(workflow_id) != str(pk):
        # Nobody would ever signal it.
        raise Conflict(_("Another workflow is its review."), code="not_its_workflow")
    waits = row["state"] == QuarantineState.OPEN
    return ReviewFacts(str(pk), row["state"], waits, row["attempt"], row["code"])


# --- what the engine asks of the row --------------------------------------------------------------
def review_restart(identifier: str) -> None:
    """Start the review of a row again; nothing if a start is under way."""
    pk = uuid_of(identifier)
    if pk is None or unsettled_starts(QUARANTINED, [pk]):
        return
    with transaction.atomic():
        commands_enqueue([_start(pk, f"{new_id()}")])


def review_undeliverable(command: "EngineCommand") -> None:
    """Start the review that a signal did not find, because somebody has ended it. The row is as it
    was decided in any case. Joins the caller's transaction."""
    pk = uuid_of(command.subject_id)
    if pk is not None and command.name == SIGNAL_REVIEW_DECIDED:
        commands_enqueue([_start(pk, f"after:{command.pk}")])


def reviews_ended(identifiers: Sequence[str]) -> Collection[str]:
    """Return the rows whose start commands are not needed any more."""
    pks = [pk for pk in map(uuid_of, identifiers) if pk is not None]
    reviewed = QuarantinedEvent.objects.filter(pk__in=pks).exclude(review_at=None)
    still = {str(pk) for pk in reviewed.values_list("pk", flat=True)}
    return [one for one in identifiers if one not in still]


# --- helpers --------------------------------------------------------------------------------------
def _start(pk: UUID, which: str) -> NewCommand:
    return start_command(
        key=f"{QUARANTINED}:{pk}:review:{which}",
        workflow_id=workflow_id_of(pk),
        workflow_type=REVIEW_WORKFLOW,
        task_queue=TASK_QUEUE,
        args=[ReviewRef(str(pk), timings())],
        subject_type=QUARANTINED,
        subject_id=str(pk),
        execution_timeout_seconds=WAITING_BACKSTOP,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        # An event that fails again waits again.
        allow_duplicate=True,
        unmirrored=True,
    )


def _signal(one: Decided) -> NewCommand:
    return signal_command(
        key=f"{QUARANTINED}:{one.pk}:decided:{one.version}",
        workflow_id=workflow_id_of(one.pk),
        task_queue=TASK_QUEUE,
        name=SIGNAL_REVIEW_DECIDED,
        subject_type=QUARANTINED,
        subject_id=str(one.pk),
    )
