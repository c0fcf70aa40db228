"""How approvals plug into the engine: whose workflow keeps a request's clock."""

from django.db import transaction
from django.urls import reverse

from apps.approvals.contracts import CLOCK_WORKFLOW, SUBJECT_TYPE
from apps.approvals.services import clock
from apps.engine import subjects
from apps.engine.models import EngineCommand, WorkflowRun
from apps.engine.subjects import EngineSubject


def register() -> None:
    """Called once, when Django is ready."""
    subjects.register(
        EngineSubject(
            type=SUBJECT_TYPE,
            title="Approval",
            restart=_restart,
            on_undeliverable=_on_undeliverable,
            on_closed=_on_closed,
            url=_url,
            stranded=clock.clock_stranded,
            workflow_types=(CLOCK_WORKFLOW,),
            subject_of=clock.subject_of,
        )
    )


def _restart(request_id: str) -> None:
    with transaction.atomic():
        clock.clock_restart(request_id=request_id)


def _on_undeliverable(command: EngineCommand) -> None:
    clock.clock_undeliverable(command=command)


def _on_closed(request_id: str, run: WorkflowRun) -> None:
    clock.clock_closed(request_id=request_id, run=run)


def _url(request_id: str) -> str:
    return reverse("request", args=[request_id])
