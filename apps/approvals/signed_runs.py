"""Runs with items (`apps.engine.runs`) that are signed once, as a whole, before the first item
starts.

The run is `pending` until then. If approved it runs, from `started_at` on; else it ends as
`rejected`. The signed payload has the row's `items_digest`, which covers all items.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext

from apps.approvals.contracts import RunFacts, Waiting
from apps.approvals.selectors import signed_payload
from apps.approvals.subject import Decided, SignedSubject, waiting_of
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.engine import process, runs
from apps.engine.runs.changes import lock
from apps.engine.runs.spec import CANCELLED, PENDING, RUNNING, R, RunSpec

REJECTED = "rejected"
WAITS = frozenset({PENDING})


def signed_run(spec: RunSpec[R], **own: Any) -> SignedSubject[R, RunFacts]:
    """Return the run's `SignedSubject`; `own` are kind, payload, scope, title and related."""
    return SignedSubject(
        row=spec.process,
        waits=WAITS,
        on_approved=partial(_approved, spec),
        on_rejected=partial(_rejected, spec),
        facts=partial(facts_of, spec),
        **own,
    )


def facts_of(spec: RunSpec[R], run: R, waiting: Waiting | None = None) -> RunFacts:
    """Return the state for the run's workflow; `waiting` while it waits for its signature."""
    waiting = waiting or waiting_of(run, waits=WAITS)
    return RunFacts(progress=runs.progress_of(spec, run), **vars(waiting))


def prepare(
    spec: RunSpec[R],
    identifier: UUID | str,
    *,
    workflow_id: str,
    limit: int,
    known: Collection[int],
    begin: Callable[[R, Any], Mapping[str, Any]],
    as_of: datetime,
) -> tuple[RunFacts, list[Any]]:
    """Return the state, and the items to carry out now: `runs.begin_next`, in a transaction."""
    with transaction.atomic(durable=True):
        run, items = runs.begin_next(
            spec,
            identifier,
            workflow_id=workflow_id,
            limit=limit,
            known=known,
            begin=begin,
            as_of=as_of,
        )
        return facts_of(spec, run), items


def finish(
    spec: RunSpec[R], identifier: UUID | str, *, workflow_id: str, as_of: datetime
) -> RunFacts:
    """Return the state, completed if no item waits or is running. Raises NotFound."""
    with transaction.atomic(durable=True):
        return facts_of(spec, runs.finish(spec, identifier, workflow_id=workflow_id, as_of=as_of))


def cancelled(
    spec: RunSpec[R], identifier: UUID | str, *, workflow_id: str, as_of: datetime
) -> RunFacts:
    """Handle a cancellation in Temporal like a user's. No-op once the run has ended.

    Raises NotFound, Conflict `not_its_workflow`.
    """
    with transaction.atomic(durable=True):
        run = lock(spec, identifier)
        runs.check_carrier(spec, run, workflow_id)
        why = gettext("Its workflow was cancelled in the engine.")
        runs.end(spec, run, CANCELLED, code="cancelled", detail=why, as_of=as_of)
        return facts_of(spec, run)


def _approved(spec: RunSpec[R], run: R, decided: Decided) -> None:
    """Raise Conflict `<noun>_differs` if the signed items are not the run's: a last check, because
    triggers protect both."""
    row: Any = run
    # Read only the digest, without the list of items beside it.
    if decided.request_id and row.items_digest != signed_payload(
        decided.request_id, "items_digest"
    ):
        raise Conflict(_("It is not what was signed."), code=f"{spec.process.noun}_differs")
    row.status = RUNNING
    row.started_at = max(decided.as_of, row.created_at)
    process.save(spec.process, run, "status", "started_at")
    signed = decided.request_id is not None
    spec.record(run, RUNNING, by=decided.by, via=decided.via, signature_needed=signed)


def _rejected(spec: RunSpec[R], run: R, decided: Decided) -> None:
    runs.end(
        spec,
        run,
        REJECTED,
        code=decided.code,
        detail=decided.detail,
        by=decided.by,
        via=decided.via,
        as_of=decided.as_of,
    )
