"""Deletes settled commands that nobody needs any more; the audit trail stays."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from apps.engine import subjects
from apps.engine.contracts import CommandKind, RunStatus
from apps.engine.models import EngineCommand, WorkflowRun

BATCH = 500


@dataclass(frozen=True)
class Position:
    """The position of a walk over the settled commands."""

    settled_at: datetime
    id: int


def commands_forget(after: Position | None = None) -> tuple[int, Position | None]:
    """Delete what nobody needs of the next BATCH commands that were settled ENGINE_COMMAND_DAYS
    ago; return how many, and where to continue (None: the end). Opens the outermost transaction;
    one short statement deletes.

    Kept at any age:
    - unsettled commands, including parked ones;
    - every command of a workflow that runs according to the mirror: its keys distinguish a
      workflow's own signals from foreign ones, and a start names the row of a run without
      attributes;
    - the starts of a row that has not `ended` according to its subject: the number of the row's
      next run is also read from them. Starts that are `unmirrored` or have no subject have no such
      row.
    """
    before = timezone.now() - timedelta(days=settings.ENGINE_COMMAND_DAYS)
    rows = EngineCommand.objects.filter(settled_at__lt=before)
    if after is not None:
        rows = rows.filter(
            Q(settled_at__gt=after.settled_at) | Q(settled_at=after.settled_at, pk__gt=after.id)
        ).filter(settled_at__gte=after.settled_at)
    batch = list(
        rows.exclude(state__in=EngineCommand.UNSETTLED)
        .annotate(runs=Exists(_running()))
        .order_by("settled_at", "id")
        .only("kind", "subject_type", "subject_id", "options", "settled_at")[:BATCH]
    )
    idle = [command for command in batch if not command.runs]
    starts = [command for command in idle if _is_counted(command)]
    kept = {command.pk for command in starts} - _of_ended_rows(starts)
    unwanted = [command.pk for command in idle if command.pk not in kept]
    deleted = _delete(unwanted)
    if len(batch) < BATCH:
        return deleted, None
    last = batch[-1]
    assert last.settled_at is not None  # the query filters by it
    return deleted, Position(last.settled_at, last.pk)


def _is_counted(command: EngineCommand) -> bool:
    return (
        command.kind == CommandKind.START
        and command.subject_type != ""
        and not command.options.get("unmirrored")
    )


def _of_ended_rows(starts: Sequence[EngineCommand]) -> set[int]:
    """Return the starts whose rows have ended, according to their subjects."""
    by_type: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for command in starts:
        by_type[command.subject_type][command.subject_id].append(command.pk)
    found: set[int] = set()
    for subject_type, of_rows in by_type.items():
        subject = subjects.get(subject_type)
        if subject is None or subject.ended is None:
            continue
        for identifier in subject.ended(list(of_rows)):
            found.update(of_rows.get(str(identifier), ()))
    return found


def _delete(ids: list[int]) -> int:
    if not ids:
        return 0
    # Check again in the statement: a run may have been noticed meanwhile.
    rows = EngineCommand.objects.filter(pk__in=ids).exclude(state__in=EngineCommand.UNSETTLED)
    return rows.filter(~Exists(_running())).delete()[0]


def _running() -> QuerySet[WorkflowRun]:
    return WorkflowRun.objects.filter(workflow_id=OuterRef("workflow_id"), status=RunStatus.RUNNING)
