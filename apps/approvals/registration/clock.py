"""How approvals plug into the engine: whose workflow keeps a request's clock."""

from apps.approvals.services import clock
from apps.engine import process
from apps.engine.models import EngineCommand, WorkflowRun


def register() -> None:
    """Called once, when Django is ready."""
    process.register(
        clock.CLOCK,
        restart=_restart,
        on_closed=_on_closed,
        on_undeliverable=_on_undeliverable,
    )


def _restart(request_id: str) -> None:
    clock.clock_restart(request_id=request_id)


def _on_undeliverable(command: EngineCommand) -> None:
    clock.clock_undeliverable(command=command)


def _on_closed(request_id: str, run: WorkflowRun) -> None:
    clock.clock_closed(request_id=request_id, run=run)
