"""How bulk decisions plug into the engine and into live pages."""

from django.utils import timezone

from apps.approvals import services
from apps.approvals.models.bulk import VIEW_OTHERS_PERMISSION
from apps.approvals.services.bulk_rows import BULK
from apps.engine import process
from apps.engine.models import EngineCommand, WorkflowRun


def register() -> None:
    """Called once, when Django is ready."""
    process.register(
        BULK,
        restart=_restart,
        on_closed=_on_closed,
        on_undeliverable=_on_undeliverable,
        view=VIEW_OTHERS_PERMISSION,
        owner="by",
    )


def _restart(bulk_id: str) -> None:
    services.bulk_restart(bulk_id=bulk_id)


def _on_undeliverable(command: EngineCommand) -> None:
    services.bulk_closed(
        bulk_id=command.subject_id,
        workflow_id=command.workflow_id,
        why=process.why_undeliverable(command),
        as_of=timezone.now(),
    )


def _on_closed(bulk_id: str, run: WorkflowRun) -> None:
    services.bulk_closed(
        bulk_id=bulk_id,
        workflow_id=run.workflow_id,
        why=process.why_closed(run),
        as_of=timezone.now(),
    )
