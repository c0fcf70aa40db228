"""What the outbox and the mirror know of a row's workflows, for apps above the engine."""

from collections.abc import Iterable

from django.db.models import QuerySet

from apps.engine.contracts import CommandKind
from apps.engine.models import EngineCommand, WorkflowRun


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
