"""Works through a run: starts items, settles them, and ends the run.

An item's status changes only from the expected one, by whoever changes it first.
"""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.common import correlation
from apps.common.errors import Conflict, DomainError
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.models_abstract import RunItem
from apps.engine.runs.changes import check_carrier, end, lock
from apps.engine.runs.items import items_of
from apps.engine.runs.spec import COMPLETED, DONE, FAILED, PENDING, RUNNING, WAITING, R, RunSpec

logger = correlation.get_logger(__name__)

#: The shortest time between two progress updates of open pages.
ANNOUNCE_SECONDS = 0.2
#: After this many refused items the following ones wait for the next look.
MOST_REFUSED = 100


class HasItsOutcome(Exception):
    """The item no longer waits: a concurrent call settled it, or its run was stopped. Rolls
    back."""


# --- items with a workflow of their own -----------------------------------------------------------
def begin_next(
    spec: RunSpec[R],
    identifier: UUID | str,
    *,
    workflow_id: str,
    limit: int,
    known: Collection[int],
    begin: Callable[[R, Any], Mapping[str, Any]],
    as_of: datetime,
) -> tuple[R, list[Any]]:
    """Lock the run; return it with up to `limit` items to carry out now.

    First come items that are running and not among `known` (numbers), which an earlier attempt or
    an earlier run of the workflow prepared; then the next waiting ones. `begin(run, item)` prepares
    what carries an item out, and returns the item's new fields; if it refuses an item before
    writing anything, that item alone fails with the code, and the next one takes its place. No
    items while the run is not running. An item begins once, also for repeated or concurrent calls.
    Joins the caller's transaction. Raises NotFound, Conflict `not_its_workflow`.
    """
    run = lock(spec, identifier)
    check_carrier(spec, run, workflow_id)
    process.announce(spec.process, run)
    if run.status != RUNNING:
        return run, []
    items = items_of(spec, run.pk).order_by("number")
    ready = list(items.filter(status=RUNNING).exclude(number__in=known)[:limit])
    refused = 0
    while len(ready) < limit and refused < MOST_REFUSED:
        waiting = list(items.filter(status=WAITING)[: limit - len(ready)])
        if not waiting:
            break
        for item in waiting:
            try:
                kept = {"status": RUNNING, **begin(run, item)}
            except DomainError as refusal:
                told = {"code": refusal.code, "detail": refusal.detail}
                settle(spec, item, FAILED, as_of=as_of, **told)
                refused += 1
                continue
            items_of(spec, run.pk).filter(pk=item.pk, status=WAITING).update(**kept)
            for name, value in kept.items():
                setattr(item, name, value)
            ready.append(item)
    return run, ready


def finish(spec: RunSpec[R], identifier: UUID | str, *, workflow_id: str, as_of: datetime) -> R:
    """Lock the run and return it, completed if this workflow carries it and no item waits or is
    running. Joins the caller's transaction. Raises NotFound."""
    run = lock(spec, identifier)
    left = items_of(spec, run.pk).filter(status__in=[WAITING, RUNNING])
    ours = run.status == RUNNING and run.workflow_id == workflow_id
    if ours and not left.exists():
        end(spec, run, COMPLETED, as_of=as_of)
    process.announce(spec.process, run)
    return run


# --- items that are a transaction each ------------------------------------------------------------
def work_through(
    spec: RunSpec[R],
    identifier: UUID | str,
    *,
    workflow_id: str,
    limit: int,
    seconds: float,
    do: Callable[[Any], object],
    interrupted: Callable[[], bool] = lambda: False,
) -> R:
    """Work through at most `limit` waiting items with `do(pk)`; start none after `seconds` or when
    interrupted. Returns the run in its new state; the last item ends it.

    Safe to repeat at any point, and to run twice at once, if `do` calls `item_do`. Raises NotFound,
    Conflict `not_its_workflow` for another workflow than the newest, and the database's error when
    only items with such errors are left (try again later).
    """
    deadline = time.monotonic() + seconds
    announced_at = time.monotonic()
    run = _begun(spec, identifier, workflow_id)
    process.announce(spec.process, run)
    rows: Any = spec.process.model._default_manager
    settled = 0
    trouble: OperationalError | None = None
    waiting = items_of(spec, run.pk).filter(status=WAITING).order_by("number")
    for item_id in list(waiting.values_list("pk", flat=True)[:limit]):
        if interrupted() or (settled and time.monotonic() >= deadline):
            break
        # Check before each item: the run may have been stopped, or resumed under another workflow.
        try:
            if not rows.filter(pk=run.pk, workflow_id=workflow_id, status=RUNNING).exists():
                break
            do(item_id)
            settled += 1
        except OperationalError as error:
            # A deadlock or a lock timeout concerns this item only, which is retried later.
            if connection.connection is None or not connection.is_usable():
                raise
            trouble = error
        if time.monotonic() - announced_at >= ANNOUNCE_SECONDS:
            announced_at = time.monotonic()
            process.announce(spec.process, rows.get(pk=run.pk))
    if trouble is not None and not settled:
        raise trouble
    with transaction.atomic(durable=True):
        return finish(spec, identifier, workflow_id=workflow_id, as_of=timezone.now())


def item_do(
    spec: RunSpec[R],
    item: RunItem,
    act: Callable[[], Mapping[str, Any]],
    *,
    refused: Callable[[DomainError], object],
    as_of: datetime,
) -> str:
    """Do one waiting item; return its new status. A settled item keeps its outcome.

    `act()` does it and returns the item's new fields; effect and outcome commit together. A refusal
    sets the item's code and detail; `refused(error)` joins that transaction. An unexpected error is
    `internal_error` and does not hold up other items. Raises only what the database's connection
    raises.
    """
    if item.status != WAITING:
        return item.status
    try:
        try:
            with transaction.atomic(durable=True):
                settle(spec, item, DONE, as_of=as_of, **act())
                return DONE
        except (HasItsOutcome, OperationalError, InterfaceError):
            raise
        except DomainError as error:
            refusal = error
        except Exception:
            logger.exception("an item failed", subject=spec.process.subject, item=item.pk)
            refusal = Conflict(_("It failed for a reason of ours."), code="internal_error")
        with transaction.atomic(durable=True):
            settle(spec, item, FAILED, as_of=as_of, code=refusal.code, detail=refusal.detail)
            refused(refusal)
            return FAILED
    except HasItsOutcome:
        item.refresh_from_db(fields=["status"])
        return item.status


def settle(
    spec: RunSpec[R],
    item: RunItem,
    status: str,
    *,
    as_of: datetime,
    code: str = "",
    detail: str = "",
    **fields: object,
) -> None:
    """Write the outcome of a waiting item, and `fields`. Raises HasItsOutcome if it has one.

    Joins the caller's transaction, as its last statement: it locks item and run.
    """
    run_id = getattr(item, f"{spec.run}_id")
    changed = (
        items_of(spec, run_id)
        .filter(pk=item.pk, status=WAITING)
        .update(
            status=status,
            error_code=code[:60],
            error_detail=detail[:5000],
            settled_at=as_of,
            **fields,
        )
    )
    if not changed:
        raise HasItsOutcome
    if spec.counts:
        counter = "done" if status == DONE else "failed"
        runs = spec.process.model._default_manager.filter(pk=run_id)
        runs.update(**{counter: F(counter) + 1, "version": F("version") + 1})


def _begun(spec: RunSpec[R], identifier: UUID | str, workflow_id: str) -> R:
    """Return the run, set to running if it is pending and this workflow carries it."""
    pk = process.id_of(spec.process, identifier)
    rows: Any = spec.process.model._default_manager.filter(pk=pk)
    begun = rows.filter(status=PENDING, workflow_id=workflow_id)
    begun.update(status=RUNNING, version=F("version") + 1)
    run: R | None = rows.first()
    if run is None:
        raise process.unknown(spec.process)
    check_carrier(spec, run, workflow_id)
    return run
