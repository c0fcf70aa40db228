"""A person's verbs on a run."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from apps.audit.contracts import Actor
from apps.audit.services import refusals
from apps.common.errors import Conflict, NotAllowed
from apps.common.validation import clean_reason
from apps.engine import process
from apps.engine.runs.changes import check_open, end, go_on, hold, lock, wake
from apps.engine.runs.spec import CANCELLED, PAUSED, RUNNING, R, RunSpec

if TYPE_CHECKING:
    from apps.accounts.models import User


def pause(spec: RunSpec[R], identifier: UUID | str, *, by: "User", via: str, reason: str = "") -> R:
    """Begin no further item; those under way end. Paused already: as it is.

    Raises what `acting` raises, Conflict `not_running`.
    """
    with acting(spec, "pause", identifier, by=by, via=via, reason=reason) as (run, reason):
        check_open(spec, run)
        if run.status == PAUSED:
            return run
        if run.status != RUNNING:
            raise Conflict("It has not begun yet.", code="not_running")
        hold(spec, run, by=by, via=via, reason=reason)
        wake(spec, run)
        return run


def resume(
    spec: RunSpec[R], identifier: UUID | str, *, by: "User", via: str, reason: str = ""
) -> R:
    """Go on with what waits; where its workflow was ended in the engine, by a new one.

    Running already: as it is. Raises what `acting` raises, Conflict `not_paused`.
    """
    with acting(spec, "resume", identifier, by=by, via=via, reason=reason) as (run, reason):
        check_open(spec, run)
        if run.status == RUNNING:
            return run
        if run.status != PAUSED:
            raise Conflict("It is not paused.", code="not_paused")
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
    """End it: what waits is never begun, what is under way ends, what is done stays done.

    Cancelled already: as it is. Raises what `acting` raises.
    """
    with acting(spec, "cancel", identifier, by=by, via=via, reason=reason) as (run, reason):
        if run.status == CANCELLED:
            return run
        check_open(spec, run)
        why = reason or f"Cancelled by {by}."
        end(spec, run, CANCELLED, code="cancelled", detail=why, by=by, via=via, as_of=as_of)
        wake(spec, run)
        return run


@contextmanager
def acting(
    spec: RunSpec[R],
    verb: str,
    identifier: UUID | str,
    *,
    by: "User",
    via: str,
    reason: str = "",
) -> Iterator[tuple[R, str]]:
    """The locked run in a transaction, and the reason made clean, for who may act on it: whose it
    is, or who has the permission `spec.act`.

    Raises, audited as `<subject>.<verb>`, and so is what the caller raises: NotFound, also when the
    person may not see it; NotAllowed `permission_denied`; Invalid `reason_invalid`.
    """
    with audited(spec, verb, identifier, by=by, via=via):
        reason = clean_reason(reason)
        with transaction.atomic(durable=True):
            _check_may(spec, identifier, by)
            yield lock(spec, identifier), reason


def audited(
    spec: RunSpec[R], verb: str, identifier: object, *, by: Actor, via: str
) -> AbstractContextManager[None]:
    """What is refused inside is audited as `<subject>.<verb>`."""
    return refusals(
        action=f"{spec.process.subject}.{verb}",
        subject_type=spec.process.subject,
        subject_id=ascii(str(identifier))[1:-1][:80],
        by=by,
        via=via,
    )


# --- helpers -------------------------------------------------------------------------------------
def _check_may(spec: RunSpec[R], identifier: UUID | str, by: "User") -> None:
    pk = process.id_of(spec.process, identifier)
    rows: Any = spec.process.model._default_manager
    if rows.filter(pk=pk, requested_by=by.pk).exists():
        return
    if not spec.act or not rows.all().visible_to(by).filter(pk=pk).exists():
        raise process.unknown(spec.process)
    if not by.has_perm(spec.act):
        raise NotAllowed("You may not do this.", code="permission_denied")
