"""What the outbox and the mirror know of a row's workflows, for apps above the engine."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from apps.engine.contracts import CommandKind, CommandState, RunStatus
from apps.engine.models import EngineCommand, ProcessHeartbeat, WorkflowRun


def starts_of(subject_type: str, subject_id: object) -> QuerySet[EngineCommand]:
    """The start commands of the row, the newest first.

    All of them until the row has ended (`EngineSubject.ended`); then none is certain to be there.
    """
    return EngineCommand.objects.filter(
        kind=CommandKind.START, subject_type=subject_type, subject_id=str(subject_id)
    ).order_by("-id")


def runs_of(subject_type: str, subject_id: object) -> QuerySet[WorkflowRun]:
    """The runs of the row that the mirror knows, of all its workflows, the newest first."""
    return WorkflowRun.objects.filter(
        subject_type=subject_type, subject_id=str(subject_id)
    ).order_by("-started_at", "-id")


def unsettled_starts(subject_type: str, subject_ids: Iterable[object]) -> set[str]:
    """Those of the rows for which a start is still on its way to the engine, or parked."""
    return set(
        EngineCommand.objects.filter(
            kind=CommandKind.START,
            subject_type=subject_type,
            subject_id__in=[str(identifier) for identifier in subject_ids],
            state__in=EngineCommand.UNSETTLED,
        ).values_list("subject_id", flat=True)
    )


def runs_by_row(subject_type: str, **more: object) -> QuerySet[WorkflowRun]:
    """The runs of the row that an outer query is at, for a subquery; `more` narrows them."""
    return WorkflowRun.objects.filter(
        subject_type=subject_type, subject_id=Cast(OuterRef("pk"), TextField()), **more
    )


def signals_sent(subject_type: str, subject_id: object, *, workflow_id: str) -> set[str]:
    """Keys of the signals that the outbox has for the row, or for this workflow."""
    ours = Q(workflow_id=workflow_id) | Q(subject_type=subject_type, subject_id=str(subject_id))
    rows = EngineCommand.objects.filter(ours, kind=CommandKind.SIGNAL)
    return set(rows.values_list("key", flat=True))


# --- for pages and metrics ------------------------------------------------------------------------
@dataclass(frozen=True)
class Outbox:
    """`pending` are on their way, `oldest` is when the oldest due one was written."""

    pending: int
    parked: int
    oldest: datetime | None


def outbox_figures(now: datetime) -> Outbox:
    """Counts every unsettled command."""
    unsettled = Q(state__in=_ON_THEIR_WAY)
    figures = EngineCommand.objects.filter(state__in=EngineCommand.UNSETTLED).aggregate(
        pending=Count("pk", filter=unsettled),
        parked=Count("pk", filter=Q(state=CommandState.PARKED)),
        oldest=Min("created_at", filter=unsettled & _DUE & Q(next_try_at__lte=now)),
    )
    return Outbox(**figures)


def next_command_at() -> datetime | None:
    """When the command that is tried next was written; None: nothing is on its way."""
    due = EngineCommand.objects.filter(_DUE, state__in=_ON_THEIR_WAY)
    return due.order_by("next_try_at", "id").values_list("created_at", flat=True).first()


def parked_count(*, most: int) -> int:
    """How many commands are parked, counted up to `most`."""
    return EngineCommand.objects.filter(state=CommandState.PARKED).order_by()[:most].count()


def open_runs_count() -> int:
    """How many runs the mirror knows as running."""
    return WorkflowRun.objects.filter(status=RunStatus.RUNNING).count()


def beating(*, since: datetime, most: int) -> list[ProcessHeartbeat]:
    """Workers and relays that gave a sign of life since then, by role and name."""
    return list(ProcessHeartbeat.objects.filter(beat_at__gt=since).order_by("role", "name")[:most])


_ON_THEIR_WAY = (CommandState.PENDING, CommandState.LEASED)
#: A second run that waits for the end of the first is not behind.
_DUE = Q(behind_run="")
