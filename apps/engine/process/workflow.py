"""Starts, restarts and signals a row's workflow. Everything joins the caller's transaction."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.engine import services as engine
from apps.engine.contracts import CommandKind, CommandState, RunStatus
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.process.rows import locked, save
from apps.engine.process.spec import Carrier, Process, R, workflow_id_of

#: How long a new row, or a sent start, may take to reach the mirror before it counts as stranded.
SETTLING_IN = timedelta(minutes=1)


def start(process: Process[R], row: R) -> None:
    """Start the workflow of a new row. Repeating returns the same command."""
    carrier = process.needs(row)
    if carrier is None:
        raise ValueError(f"a {process.noun} that has ended needs no workflow")
    if not getattr(row, process.id_field):
        _name(process, row, workflow_id_of(process, row.pk))
    _enqueue(process, row, carrier, key="start", again=False)


def start_again(
    process: Process[R], row: R, carrier: Carrier[R] | None = None, *, key: str = ""
) -> None:
    """Start a workflow for a row that had one, from the row's current state. Needs the row's lock.

    `carrier`: another workflow than the row's status needs. `key` makes the start once per
    decision; a caller without one must know that no start is under way (`is_under_way`, or a status
    that changed under the lock). A second run has an id that was never used, or, if the row keeps
    its id, runs only if the last run failed.
    """
    carrier = carrier or process.needs(row)
    if carrier is None:
        raise ValueError(f"a {process.noun} that has ended needs no workflow")
    if carrier.workflow_id is None and not process.keeps_id(row):
        _name(process, row, workflow_id_of(process, row.pk, last_number(process, row) + 1))
    # Never a count: settled commands are deleted, so a count would repeat.
    _enqueue(process, row, carrier, key=f"start:{key or new_id()}", again=True)


def restart(process: Process[R], identifier: UUID | str) -> R | None:
    """Start the row's workflow again, unless the row has ended or a start is under way.

    Returns the row if it was started, for the caller to audit; else None, also when it is
    `worn_out`. Two calls at once start one workflow.
    """
    row = locked(process, identifier)
    if process.needs(row) is None or is_under_way(process, row):
        return None
    if worn_out(process, row):
        return None
    start_again(process, row)
    return row


def wake(process: Process[R], row: R, *, signal: str, event: str) -> None:
    """Signal the row's workflow to read the row again; once per `event`.

    If an operator has discarded the workflow's start, the event is a new decision about the row:
    the workflow is started if the row needs one.
    """
    if start_discarded(process, row):
        if process.needs(row) is not None:
            start_again(process, row, key=event)
        return
    engine.workflow_signal(
        key=f"{process.subject}:{row.pk}:{event}",
        workflow_id=getattr(row, process.id_field),
        task_queue=process.queue,
        name=signal,
        subject_type=process.subject,
        subject_id=str(row.pk),
    )


def worn_out(process: Process[R], row: R) -> bool:
    """Return whether the row has had `most_runs` workflows. Runs that Temporal has lost do not
    count, because nobody ended them."""
    if not process.most_runs:
        return False
    runs = WorkflowRun.objects.filter(**_subject(process, row), status=RunStatus.LOST)
    lost = runs.order_by().values("workflow_id").distinct().count()
    return last_number(process, row) - lost >= process.most_runs


def start_discarded(process: Process[R], row: R) -> bool:
    """Return whether an operator has discarded the row's newest start: the row has no workflow
    until that start is retried, somebody decides something else about the row, or starts it by
    hand."""
    if newest_start_states(**_subject(process, row)).first() != CommandState.DISCARDED:
        return False
    own = WorkflowRun.objects.filter(workflow_id=getattr(row, process.id_field))
    return not own.filter(status=RunStatus.RUNNING).exists()


def is_under_way(process: Process[R], row: R) -> bool:
    """Return whether a start of one of the row's workflows has not arrived yet.

    It waits in the outbox, or it was sent within SETTLING_IN and the mirror does not have its run.
    A run in the mirror has arrived, even if it has ended.
    """
    return starts_under_way(**_subject(process, row)).exists()


def last_number(process: Process[R], row: R) -> int:
    """Return the highest number that one of the row's workflows was ever given.

    Reads the row, its commands and the mirror. Settled commands are deleted, so the row itself has
    the number; after a restored backup row and commands are older than the latest runs, which the
    sweeper has added to the mirror.
    """
    subject = _subject(process, row)
    known = {getattr(row, process.id_field)}
    known |= set(
        EngineCommand.objects.filter(**subject, kind=CommandKind.START).values_list(
            "workflow_id", flat=True
        )
    )
    known |= set(WorkflowRun.objects.filter(**subject).values_list("workflow_id", flat=True))
    first = workflow_id_of(process, row.pk)
    numbered = re.compile(rf"{re.escape(first)}-(?P<number>[1-9][0-9]{{0,8}})")
    found = [numbered.fullmatch(workflow_id) for workflow_id in known]
    return max((int(match["number"]) for match in found if match), default=int(first in known))


def starts_under_way(**subject: Any) -> "QuerySet[EngineCommand]":
    """Return starts that have not arrived yet, as `is_under_way` does for one row."""
    arrived = WorkflowRun.objects.filter(
        workflow_id=OuterRef("workflow_id"), run_id=OuterRef("run_id")
    )
    sent = Q(state=CommandState.SENT, settled_at__gte=timezone.now() - SETTLING_IN)
    return EngineCommand.objects.filter(**subject, kind=CommandKind.START).filter(
        Q(state__in=EngineCommand.UNSETTLED) | (sent & ~Exists(arrived))
    )


def newest_start_states(**subject: Any) -> "QuerySet[EngineCommand, str]":
    """Return the states of the starts, the newest first."""
    rows = EngineCommand.objects.filter(**subject, kind=CommandKind.START)
    return rows.order_by("-id").values_list("state", flat=True)


# --- helpers -------------------------------------------------------------------------------------
def _subject(process: Process[R], row: R) -> dict[str, str]:
    return {"subject_type": process.subject, "subject_id": str(row.pk)}


def _enqueue(process: Process[R], row: R, carrier: Carrier[R], *, key: str, again: bool) -> None:
    own = getattr(row, process.id_field)
    engine.workflow_start(
        key=f"{process.subject}:{row.pk}:{key}",
        workflow_id=carrier.workflow_id(row) if carrier.workflow_id else own,
        workflow_type=carrier.workflow,
        task_queue=process.queue,
        args=[carrier.ref(row, again)],
        subject_type=process.subject,
        subject_id=str(row.pk),
        execution_timeout_seconds=carrier.backstop,
        task_timeout_seconds=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
        # Before a row's first start no run can have failed; before any other one may have.
        allow_duplicate_failed=again,
    )


def _name(process: Process[R], row: R, workflow_id: str) -> None:
    setattr(row, process.id_field, workflow_id)
    if process.unversioned:
        row.save(update_fields=[process.id_field])
    else:
        save(process, row, process.id_field)
