"""The changes that verbs are made of. All join the transaction that holds the run's lock.

Lock order: the run, then its items; where the run counts, its items first (`RunSpec.counts`).
"""

from datetime import datetime
from uuid import UUID

from apps.audit.contracts import ENGINE, Actor
from apps.common.errors import Conflict
from apps.engine import process
from apps.engine import services as engine
from apps.engine.runs.items import items_of
from apps.engine.runs.spec import CANCELLED, PAUSED, RUNNING, WAITING, R, RunSpec


def lock(spec: RunSpec[R], identifier: UUID | str) -> R:
    """The run, locked until the end of the transaction. NotFound for what is none."""
    own = spec.process.lock
    return own(identifier) if own else process.locked(spec.process, identifier)


def check_carrier(spec: RunSpec[R], run: R, workflow_id: str) -> None:
    """Conflict `not_its_workflow` unless this workflow carries the run now."""
    if run.workflow_id != workflow_id:
        raise Conflict(
            f"This {spec.process.noun} belongs to the workflow {run.workflow_id}.",
            code="not_its_workflow",
        )


def check_open(spec: RunSpec[R], run: R) -> None:
    """Conflict `already_settled` with the status as extra, once it has ended."""
    if spec.process.needs(run) is None:
        raise Conflict(
            f"The {spec.process.noun} is {run.status} already.",
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
    """Paused: nothing further is begun until a person resumes it. `code` and `detail` say why where
    no person wanted it."""
    run.status = PAUSED
    run.error_code, run.error_detail = code[:60], detail[:5000]
    process.save(spec.process, run, "status", "error_code", "error_detail")
    spec.record(run, PAUSED, by=by, via=via, reason=reason)


def go_on(spec: RunSpec[R], run: R, status: str, *, by: Actor, via: str, reason: str = "") -> None:
    """Resumed, with that status: what waited when it was stopped waits again."""
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
    """End it: what waits is not begun. No-op once it has ended.

    For good, or, with `spec.stopped`, until it is resumed: its items have no outcome then.
    """
    if spec.process.needs(run) is None:
        return
    waiting = items_of(spec, run.pk).filter(status=WAITING)
    if spec.stopped:
        waiting.update(status=spec.stopped)
    else:
        waiting.update(status=CANCELLED, settled_at=as_of)
    run.status = status
    run.error_code, run.error_detail = code[:60], detail[:5000]
    run.settled_at = max(as_of, run.created_at)
    process.save(spec.process, run, "status", "error_code", "error_detail", "settled_at")
    spec.record(run, status, by=by, via=via, code=code, detail=detail)


def wake(spec: RunSpec[R], run: R) -> None:
    """Have its workflow read the row again; where that has ended and is needed, a new one.

    After the row was saved: its version makes the key.
    """
    if not engine.workflow_is_closed(workflow_id=run.workflow_id):
        process.wake(spec.process, run, signal=spec.signal, event=f"changed:{run.version}")
    elif run.status == RUNNING:
        process.start_again(spec.process, run)
