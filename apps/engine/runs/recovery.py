"""What the engine tells of the workflow that carries a run."""

from datetime import datetime
from functools import partial
from uuid import UUID

from apps.audit.contracts import ENGINE
from apps.engine import process
from apps.engine.runs.changes import end, hold
from apps.engine.runs.spec import CANCELLED, PENDING, R, RunSpec

CODE = "workflow_closed"


def register(spec: RunSpec[R], *, view: str) -> None:
    """Make the run known to the engine, and its row and lists live topics (`process.register`)."""
    process.register(
        spec.process, closed=partial(closed, spec), restart=partial(restart, spec), view=view
    )


def restart(spec: RunSpec[R], identifier: UUID | str) -> None:
    """Start its workflow again from the row, unless it has ended or a start is under way.

    Joins the caller's transaction.
    """
    run = process.restart(spec.process, identifier)
    if run is not None:
        spec.record(run, "restarted", by=ENGINE, via="engine")


def closed(
    spec: RunSpec[R], identifier: UUID | str, *, workflow_id: str, why: str, as_of: datetime
) -> None:
    """Its workflow has ended or cannot begin: nothing further is begun.

    It is stopped, or paused, and a person resumes it; one that waited for a signature ends as
    cancelled. Joins the caller's transaction. Nothing when it has ended or another workflow
    carries it.
    """
    run = process.carried(spec.process, identifier, workflow_id)
    if run is None or run.error_code == CODE:
        return
    if spec.stopped:
        end(spec, run, spec.stopped, code=CODE, detail=why, as_of=as_of)
    elif run.status == PENDING:
        end(spec, run, CANCELLED, code=CODE, detail=why, as_of=as_of)
    else:
        detail = f"{why} Nothing further is begun until somebody resumes it."
        hold(spec, run, reason=why, code=CODE, detail=detail)
