"""Queries of the outbox and the mirror for apps above the engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from apps.common.compiled import Compiled, any_of
from apps.engine.contracts import CommandKind, CommandState, RunStatus
from apps.engine.models import EngineCommand, ProcessHeartbeat, WorkflowRun


def runs_of(subject_type: str, subject_id: object) -> QuerySet[WorkflowRun]:
    """Return the row's runs in the mirror, of all its workflows, newest first."""
    return WorkflowRun.objects.filter(
        subject_type=subject_type, subject_id=str(subject_id)
    ).order_by("-started_at", "-id")


def row_runs(run: WorkflowRun) -> bool:
    """Return whether a run of the same business row has not ended, this one or another."""
    return runs_of(run.subject_type, run.subject_id).filter(status=RunStatus.RUNNING).exists()


def unsettled_starts(subject_type: str, subject_ids: Iterable[object]) -> set[str]:
    """Return the rows for which a start is under way, or parked."""
    return set(
        EngineCommand.objects.filter(
            kind=CommandKind.START,
            subject_type=subject_type,
            subject_id__in=[str(identifier) for identifier in subject_ids],
            state__in=EngineCommand.UNSETTLED,
        ).values_list("subject_id", flat=True)
    )


def runs_by_row(subject_type: str, **more: object) -> QuerySet[WorkflowRun]:
    """Return the outer query's row's runs, for a subquery; `more` are further filters."""
    return WorkflowRun.objects.filter(
        subject_type=subject_type, subject_id=Cast(OuterRef("pk"), TextField()), **more
    )


def newest_runs(workflow_ids: Iterable[str]) -> dict[str, WorkflowRun]:
    """Return the newest run of each of these workflows that the mirror knows, in one query."""
    return {run.workflow_id: run for run in _NEWEST_RUNS.rows(workflow_ids=list(workflow_ids))}


def starts_under_way(workflow_ids: Iterable[str]) -> dict[str, str]:
    """Return the states of these workflows' unsettled starts in the outbox, in one query."""
    rows = _STARTS_UNDER_WAY.rows(workflow_ids=list(workflow_ids))
    return {row.workflow_id: row.state for row in rows}


_NEWEST_RUNS: Compiled[WorkflowRun] = Compiled(
    lambda workflow_ids: (
        WorkflowRun.objects.filter(any_of("workflow_id", workflow_ids))
        .order_by("workflow_id", "-started_at", "-id")
        .distinct("workflow_id")
    )
)
_STARTS_UNDER_WAY: Compiled[EngineCommand] = Compiled(
    lambda workflow_ids: EngineCommand.objects.filter(
        any_of("workflow_id", workflow_ids),
        kind=CommandKind.START,
        state__in=EngineCommand.UNSETTLED,
    ).only("workflow_id", "state")
)


def signals_sent(subject_type: str, subject_id: object, *, workflow_id: str) -> set[str]:
    """Return the keys of the outbox's signals for the row, or for this workflow."""
    ours = Q(workflow_id=workflow_id) | Q(subject_type=subject_type, subject_id=str(subject_id))
    rows = EngineCommand.objects.filter(ours, kind=CommandKind.SIGNAL)
    return set(rows.values_list("key", flat=True))


# --- for pages and metrics ------------------------------------------------------------------------
def next_command_at() -> datetime | None:
    """Return when the command that is attempted next was written; None: none is under way."""
    due = EngineCommand.objects.filter(_DUE, state__in=_ON_THEIR_WAY)
    return due.order_by("next_try_at", "id").values_list("created_at", flat=True).first()


def parked_count(*, most: int) -> int:
    """Count parked commands, up to `most`."""
    return EngineCommand.objects.filter(state=CommandState.PARKED).order_by()[:most].count()


def open_runs_count() -> int:
    """Count the runs that the mirror knows as running."""
    return WorkflowRun.objects.filter(status=RunStatus.RUNNING).count()


def beating(*, since: datetime, most: int) -> list[ProcessHeartbeat]:
    """Return workers and relays that have beaten since then, by role and name."""
    return list(ProcessHeartbeat.objects.filter(beat_at__gt=since).order_by("role", "name")[:most])


# --- for the workers page -------------------------------------------------------------------------
#: The most open runs, and the most failed ones, that are counted.
MOST_COUNTED = 10_000
DAY, WEEK = timedelta(days=1), timedelta(days=7)
#: A command that was written longer ago than this, and is not sent, is stuck.
STUCK_AFTER = timedelta(seconds=30)


@dataclass
class TypeFigures:
    """Runs of one workflow type: open ones, and those that failed within a day and a week."""

    workflow_type: str
    queues: set[str] = field(default_factory=set)
    open: int = 0
    failed_day: int = 0
    failed_week: int = 0


@dataclass(frozen=True)
class RunFigures:
    """Figures of all types with open or failed runs, by name. `open_more`, `failed_more`: there are
    more than were counted, so that the figures are the least."""

    types: list[TypeFigures]
    open_more: bool
    failed_more: bool

    @property
    def open(self) -> int:
        return sum(one.open for one in self.types)

    @property
    def failed_day(self) -> int:
        return sum(one.failed_day for one in self.types)

    @property
    def failed_week(self) -> int:
        return sum(one.failed_week for one in self.types)


def run_figures(now: datetime) -> RunFigures:
    """Count open and failed runs by type: two queries, each over at most MOST_COUNTED rows of a
    partial index."""
    types: dict[str, TypeFigures] = {}

    def of(name: str) -> TypeFigures:
        return types.setdefault(name, TypeFigures(name))

    running = WorkflowRun.objects.filter(status=RunStatus.RUNNING).order_by("seen_at")
    counted = 0
    for name, queue in running.values_list("workflow_type", "task_queue")[:MOST_COUNTED]:
        counted += 1
        of(name).open += 1
        of(name).queues.add(queue)
    failed = failed_runs(since=now - WEEK).order_by("-closed_at")
    failures = list(failed.values_list("workflow_type", "closed_at")[:MOST_COUNTED])
    for name, closed_at in failures:
        of(name).failed_week += 1
        of(name).failed_day += bool(closed_at and closed_at >= now - DAY)
    return RunFigures(
        types=[types[name] for name in sorted(types)],
        open_more=counted == MOST_COUNTED,
        failed_more=len(failures) == MOST_COUNTED,
    )


def failed_runs(*, since: datetime) -> QuerySet[WorkflowRun]:
    """Return runs that failed, timed out or were terminated since then."""
    return WorkflowRun.objects.filter(status__in=WorkflowRun.FAILED, closed_at__gte=since)


def untold_runs() -> QuerySet[WorkflowRun]:
    """Return ended runs whose business row has not heard of the end."""
    ended = ~Q(status=RunStatus.RUNNING)
    return WorkflowRun.objects.filter(ended, told_at__isnull=True, confirmed=True)


def stuck_commands(now: datetime) -> QuerySet[EngineCommand]:
    """Return commands that should have been sent long ago, without parked ones."""
    return EngineCommand.objects.filter(
        _DUE, state__in=_ON_THEIR_WAY, created_at__lt=now - STUCK_AFTER
    )


def parked_commands() -> QuerySet[EngineCommand]:
    """Return the commands that wait for an operator."""
    return EngineCommand.objects.filter(state=CommandState.PARKED)


def troubled_commands() -> QuerySet[EngineCommand]:
    """Return the commands that have not been sent: those under way, parked, or given up.

    Its condition is that of a partial index, which bears the order of the list however many wait.
    """
    given_up = (CommandState.UNDELIVERABLE, CommandState.DISCARDED)
    return EngineCommand.objects.filter(state__in=(*_ON_THEIR_WAY, CommandState.PARKED, *given_up))


def commands_of(workflow_id: str) -> QuerySet[EngineCommand]:
    """Return the workflow's commands, newest first."""
    return EngineCommand.objects.filter(workflow_id=workflow_id).order_by("-id")


def processes(*, most: int) -> list[ProcessHeartbeat]:
    """Return processes that beat within the last hour, by role and name."""
    return list(ProcessHeartbeat.objects.order_by("role", "-leading", "name")[:most])


_ON_THEIR_WAY = (CommandState.PENDING, CommandState.LEASED)
#: A second run that waits for the end of the first is not late.
_DUE = Q(behind_run="")
