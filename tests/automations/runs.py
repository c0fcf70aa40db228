"""Executions for tests: asked for, and carried to their end without an engine."""

from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.automations.contracts.messages import Advanced
from apps.automations.models import Execution
from apps.automations.services.advancing import execution_advance
from apps.automations.services.reading import status_of
from apps.automations.services.requesting import execution_request


def said(by: User) -> dict[str, Any]:
    """Who does it, how, and when."""
    return {"by": by, "via": "api", "as_of": timezone.now()}


def requested(by: User, document: Any = None, params: Any = None, **more: Any) -> Execution:
    """An execution of this definition, or of `automation`."""
    return execution_request(document=document, params=params, **said(by), **more)[0]


def advanced(execution: Execution) -> Advanced:
    """One step, and the row as it is then."""
    step = execution_advance(row_id=execution.pk, as_of=timezone.now())
    execution.refresh_from_db()
    return step


def carried(execution: Execution) -> dict[str, Any]:
    """Run an execution of plain nodes to its end, or until it waits; return its status."""
    while True:
        step = advanced(execution)
        if step.status.ended or step.status == "waiting":
            return status_of(execution)


def nodes_of(execution: Execution) -> dict[str, str]:
    """The statuses of its nodes."""
    return {id: str(status) for id, status in status_of(execution)["nodes"].items()}
