"""Queries of the outbox and the mirror for apps above the engine."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from apps.engine.contracts import CommandKind, CommandState, RunStatus
from apps.engine.models import EngineCommand, ProcessHeartbeat, WorkflowRun


def runs_of(subject_type: str, subject_id: object) -> QuerySet[WorkflowRun]:
    """Return the row's runs in the mirror, of all its workflows, newest first."""
    return WorkflowRun.objects.filter(
        subject_type=subject_type, subject_id=str(subject_id)
    ).order_by("-started_at", "-id")


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
    rows = WorkflowRun.objects.filter(workflow_id__in=list(workflow_ids))
    newest = rows.order_by("workflow_id", "-started_at", "-id").distinct("workflow_id")
    return {run.workflow_id: run for run in newest}


def starts_under_way(workflow_ids: Iterable[str]) -> dict[str, str]:
    """Return the states of these workflows' unsettled starts in the outbox, in one query."""
    rows = EngineCommand.objects.filter(
        kind=CommandKind.START,
        workflow_id__in=list(workflow_ids),
        state__in=EngineCommand.UNSETTLED,
    )
    return dict(rows.values_list("workflow_id", "state"))


def signals_sent(subject_type: str, subject_id: object, *, workflow_id: str) -> set[str]:
    """Return the keys of the outbox's signals for the row, or for this workflow."""
    ours = Q(workflow_id=workflow_id) | Q(subject_type=subject_type, subject_id=str(subject_id))
    rows = EngineCommand.objects.filter(ours, kind=CommandKind.SIGNAL)
    return set(rows.values_list("key", flat=True))


# --- for pages and metrics ------------------------------------------------------------------------
@dataclass(frozen=True)
class Outbox:
    """`pending` commands are under way; `oldest` is when the oldest due one was written."""

    pending: int
    parked: int
    oldest: datetime | None


def outbox_figures(now: datetime) -> Outbox:
    """Count the unsettled commands."""
    unsettled = Q(state__in=_ON_THEIR_WAY)
    figures = EngineCommand.objects.filter(state__in=EngineCommand.UNSETTLED).aggregate(
        pending=Count("pk", filter=unsettled),
        parked=Count("pk", filter=Q(state=CommandState.PARKED)),
        oldest=Min("created_at", filter=unsettled & _DUE & Q(next_try_at__lte=now)),
    )
    return Outbox(**figures)


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


_ON_THEIR_WAY = (CommandState.PENDING, CommandState.LEASED)
#: A second run that waits for the end of the first is not late.
_DUE = Q(behind_run="")
