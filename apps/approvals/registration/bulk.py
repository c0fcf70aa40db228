"""How bulk decisions plug into the engine and into live pages."""

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Subquery, TextField
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils import timezone

from apps.approvals import services
from apps.approvals.contracts import BULK_SUBJECT, BULK_WORKFLOW
from apps.approvals.models import BulkDecision
from apps.approvals.models.bulk import VIEW_OTHERS_PERMISSION
from apps.engine import subjects
from apps.engine.contracts import RunStatus
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.subjects import EngineSubject
from apps.live import topics
from apps.live.topics import UUID_PATTERN, Topic

if TYPE_CHECKING:
    from apps.accounts.models import User

#: A row this young is on its way through the outbox; that is not being stranded.
SETTLING_IN = timedelta(minutes=1)
STRANDED_LIMIT = 200
_UUID_LENGTH = 36


def register() -> None:
    """Called once, when Django is ready."""
    topics.register(
        Topic(BULK_SUBJECT, pattern=UUID_PATTERN, permission=VIEW_OTHERS_PERMISSION, owner=_theirs)
    )
    subjects.register(
        EngineSubject(
            type=BULK_SUBJECT,
            title="Bulk decision",
            restart=_restart,
            on_undeliverable=_on_undeliverable,
            on_closed=_on_closed,
            url=_url,
            stranded=stranded,
            workflow_types=(BULK_WORKFLOW,),
            subject_of=_subject_of,
        )
    )


def stranded() -> list[str]:
    """Ids of those that ought to be worked on and that no workflow is known to carry: nothing ever
    ran for them, or the engine has lost what ran (a restored backup)."""
    subject = {"subject_type": BULK_SUBJECT, "subject_id": Cast(OuterRef("pk"), TextField())}
    runs = WorkflowRun.objects.filter(**subject, workflow_id=OuterRef("workflow_id"))
    starts = EngineCommand.objects.filter(
        **subject, kind="start", state__in=EngineCommand.UNSETTLED
    )
    settled = EngineCommand.objects.filter(
        **subject, kind="start", settled_at__gte=timezone.now() - SETTLING_IN
    )
    rows = (
        BulkDecision.objects.running()
        .filter(created_at__lt=timezone.now() - SETTLING_IN)
        .filter(~Exists(starts), ~Exists(settled))
        .annotate(newest=Subquery(runs.order_by("-started_at", "-id").values("status")[:1]))
        .filter(Q(newest=None) | Q(newest=RunStatus.LOST))
        .order_by("created_at")
    )
    return [str(pk) for pk in rows.values_list("pk", flat=True)[:STRANDED_LIMIT]]


def _restart(bulk_id: str) -> None:
    with transaction.atomic():
        services.bulk_restart(bulk_id=bulk_id)


def _on_undeliverable(command: EngineCommand) -> None:
    why = f"Its workflow could not be started: {command.error[:500] or 'unknown reason'}"
    services.bulk_closed(
        bulk_id=command.subject_id,
        workflow_id=command.workflow_id,
        why=why,
        as_of=timezone.now(),
    )


def _on_closed(bulk_id: str, run: WorkflowRun) -> None:
    if BulkDecision.objects.filter(pk=bulk_id).exists():
        services.bulk_closed(
            bulk_id=bulk_id,
            workflow_id=run.workflow_id,
            why=f"Its workflow was {run.status.replace('_', ' ')} in the engine.",
            as_of=timezone.now(),
        )


def _url(bulk_id: str) -> str:
    return reverse("bulk", args=[bulk_id])


def _subject_of(workflow_id: str) -> str:
    """The row's id out of `bulk-<id>` and `bulk-<id>-<number>`."""
    prefix, _, rest = workflow_id.partition("-")
    try:
        return str(UUID(rest[:_UUID_LENGTH])) if prefix == BULK_SUBJECT else ""
    except ValueError:
        return ""


def _theirs(user: "User", bulk_id: str) -> bool:
    return BulkDecision.objects.filter(pk=bulk_id, by=user.pk).exists()
