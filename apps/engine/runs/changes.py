"""Changes of a run that services consist of. All join the transaction that holds the run's lock.

Lock order: the run, then its items; if the run counts, its items first (`RunSpec.counts`).
"""

from datetime import datetime
from functools import partial
from uuid import UUID

from django.utils.translation import gettext

from apps.audit.contracts import ENGINE, Actor
from apps.common.ended import ended_already
from apps.common.errors import Conflict
from apps.engine import process
from apps.engine import services as engine
from apps.engine.runs.items import items_of
from apps.engine.runs.spec import CANCELLED, PAUSED, PENDING, RUNNING, WAITING, R, RunSpec

#: The error code of a run that was stopped, paused or cancelled because its workflow was ended.
CLOSED = "workflow_closed"


def lock(spec: RunSpec[R], identifier: UUID | str) -> R:
    """Lock the run until the end of the transaction. Raises NotFound."""
    return process.locked(spec.process, identifier)


def check_carrier(spec: RunSpec[R], run: R, workflow_id: str) -> None:
    """Raise Conflict `not_its_workflow` unless this workflow carries the run now."""
    process.check_carrier(spec.process, run, workflow_id)


def check_open(spec: RunSpec[R], run: R) -> None:
    """Raise Conflict `already_settled` (extra status) for a run that has ended."""
    if spec.process.needs(run) is None:
        raise Conflict(
            ended_already(run.status),
            code="already_settled",
            status=run.status,
        )


def hold(
    spec: RunSpec[R],
    run: R,
    *,
    by: Actor = ENGINE,
    via: str = "engine",
    reason: str = "",
    code: str = "",
    detail: str = "",
) -> None:
    """Pause the run: no further item starts until a user resumes it. `code` and `detail` give the
    reason of a pause that no user asked for."""
    run.status = PAUSED
    run.error_code, run.error_detail = code[:60], detail[:5000]
    process.save(spec.process, run, "status", "error_code", "error_detail")
    spec.record(run, PAUSED, by=by, via=via, reason=reason)


def go_on(spec: RunSpec[R], run: R, status: str, *, by: Actor, via: str, reason: str = "") -> None:
    """Resume the run with that status: its stopped items wait again."""
    if spec.stopped:
        items_of(spec, run.pk).filter(status=spec.stopped).update(status=WAITING)
    run.status = status
    run.error_code = run.error_detail = ""
    run.settled_at = None
    process.save(spec.process, run, "status", "error_code", "error_detail", "settled_at")
    spec.record(run, "resumed", by=by, via=via, reason=reason)


def end(
    spec: RunSpec[R],
    run: R,
    status: str,
    *,
    as_of: datetime,
    code: str = "",
    detail: str = "",
    by: Actor = ENGINE,
    via: str = "engine",
) -> None:
    """End the run: waiting items never start. No-op once it has ended.

    Final, or, with `spec.stopped`, until it is resumed: its items then have no outcome.
    """
    if spec.process.needs(run) is None:
        return
    waiting = items_of(spec, run.pk).filter(status=WAITING)
    if spec.stopped:
        waiting.update(status=spec.stopped)
    else:
        waiting.update(status=CANCELLED, settled_at=as_of)
    fields = process.ended(run, status, as_of=as_of, code=code, detail=detail)
    process.save(spec.process, run, *fields)
    spec.record(run, status, by=by, via=via, code=code, detail=detail)


def wake(spec: RunSpec[R], run: R) -> None:
    """Signal the run's workflow to read the row again; start a new one if it has ended and is
    needed.

    Call it after saving the row, because the new version is part of the key.
    """
    if not engine.workflow_is_closed(workflow_id=run.workflow_id):
        process.wake(spec.process, run, signal=spec.signal, event=f"changed:{run.version}")
    elif run.status == RUNNING:
        process.start_again(spec.process, run)


# --- events from the engine -----------------------------------------------------------------------
def register(spec: RunSpec[R], *, view: str) -> None:
    """Register the run with the engine, and its row and lists as live topics
    (`process.register`)."""
    process.register(
        spec.process, closed=partial(closed, spec), restart=partial(restart, spec), view=view
    )


def restart(spec: RunSpec[R], identifier: UUID | str) -> None:
    """Start the run's workflow again from the row, unless the run has ended or a start is under
    way.

    Joins the caller's transaction.
    """
    run = process.restart(spec.process, identifier)
    if run is not None:
        spec.record(run, "restarted", by=ENGINE, via="engine")


def closed(
    spec: RunSpec[R], identifier: UUID | str, *, workflow_id: str, why: str, as_of: datetime
) -> None:
    """Handle the end of the run's workflow, or a start that failed: no further item starts.

    The run is stopped, or paused, and a user can resume it; one that waited for a signature is
    cancelled. Joins the caller's transaction. No-op when it has ended or another workflow carries
    it.
    """
    run = process.carried(spec.process, identifier, workflow_id)
    if run is None or run.error_code == CLOSED:
        return
    if spec.stopped:
        end(spec, run, spec.stopped, code=CLOSED, detail=why, as_of=as_of)
    elif run.status == PENDING:
        end(spec, run, CANCELLED, code=CLOSED, detail=why, as_of=as_of)
    else:
        detail = gettext("{why} Nothing further is begun until somebody resumes it.").format(
            why=why
        )
        hold(spec, run, reason=why, code=CLOSED, detail=detail)
