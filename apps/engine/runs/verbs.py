"""Actions of a user on a run: pause, resume, cancel."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from apps.common.errors import Conflict
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.runs.changes import check_open, end, go_on, hold, wake
from apps.engine.runs.spec import CANCELLED, PAUSED, RUNNING, R, RunSpec

if TYPE_CHECKING:
    from apps.accounts.models import User


def pause(
    spec: RunSpec[R],
    identifier: UUID | str,
    *,
    by: "User",
    via: str,
    reason: str = "",
    as_of: datetime,
) -> R:
    """Pause: start no further item; running ones finish. No-op if paused already.

    Raises what `acting` raises, Conflict `not_running`.
    """
    with acting(spec, "pause", identifier, by=by, via=via, reason=reason) as (run, reason):
        check_open(spec, run)
        if run.status == PAUSED:
            return run
        if run.status != RUNNING:
            raise Conflict(_("It has not begun yet."), code="not_running")
        hold(spec, run, by=by, via=via, reason=reason)
        wake(spec, run)
        return run


def resume(
    spec: RunSpec[R],
    identifier: UUID | str,
    *,
    by: "User",
    via: str,
    reason: str = "",
    as_of: datetime,
) -> R:
    """Resume; if the run's workflow was ended in Temporal, start a new one. No-op if running
    already.

    Raises what `acting` raises, Conflict `not_paused`.
    """
    with acting(spec, "resume", identifier, by=by, via=via, reason=reason) as (run, reason):
        check_open(spec, run)
        if run.status == RUNNING:
            return run
        if run.status != PAUSED:
            raise Conflict(_("It is not paused."), code="not_paused")
        go_on(spec, run, RUNNING, by=by, via=via, reason=reason)
        wake(spec, run)
        return run


def cancel(
    spec: RunSpec[R],
    identifier: UUID | str,
    *,
    by: "User",
    via: str,
    reason: str = "",
    as_of: datetime,
) -> R:
    """Cancel: waiting items never start, running ones finish, done ones stay done.

    No-op if cancelled already. Raises what `acting` raises.
    """
    with acting(spec, "cancel", identifier, by=by, via=via, reason=reason) as (run, reason):
        if run.status == CANCELLED:
            return run
        check_open(spec, run)
        why = reason or for_record(filled(_("Cancelled by {by}."), by=by))
        end(spec, run, CANCELLED, code="cancelled", detail=why, by=by, via=via, as_of=as_of)
        wake(spec, run)
        return run


def acting(
    spec: RunSpec[R], verb: str, identifier: UUID | str, *, by: "User", via: str, reason: str = ""
) -> AbstractContextManager[tuple[R, str]]:
    """As `process.acting`, for the requester and with the permission `spec.act`."""
    return process.acting(
        spec.process, verb, identifier, by=by, via=via, reason=reason, permission=spec.act
    )
