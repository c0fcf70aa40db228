"""Steps of a saga: a row for each, and the transaction in which a step runs.

A process with steps has a model of `StepRow`, whose foreign key to the row has the `related_name`
"steps". Compensation follows these rows, never what a run remembers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.utils import timezone

from apps.audit.contracts import ENGINE
from apps.audit.services import refusals
from apps.common.errors import DomainError, NotFound, Unavailable
from apps.common.failpoints import failpoint
from apps.engine import process as processes
from apps.engine.models_abstract import StepRow
from apps.engine.process import Process
from apps.engine.process.spec import R

Status = StepRow.Status


@dataclass
class _Group:
    """Steps that share a transaction. Its lock on the row keeps what is known of them true."""

    row: models.Model
    statuses: dict[str, str] | None = None


#: The group of the steps that this thread runs.
_GROUPED: ContextVar[_Group | None] = ContextVar("grouped_steps", default=None)


# --- the steps' rows ------------------------------------------------------------------------------
def statuses_of(row: models.Model) -> dict[str, str]:
    """Return name → status of the steps that were begun."""
    group = _group_of(row)
    if group is None:
        return _read_statuses(row)
    if group.statuses is None:
        group.statuses = _read_statuses(row)
    return dict(group.statuses)


def step_put(row: models.Model, step: str, status: str, detail: str = "") -> None:
    """Write the step's row in one statement; "running" again counts as another attempt. Joins the
    caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(*_put(row, step, status, detail))
    _note(row, step, status)


def step_save(
    process: Process[R],
    row: R,
    step: str,
    status: str,
    detail: str = "",
    *,
    fields: Sequence[str] = (),
) -> None:
    """`step_put` and `save` in one statement, because a saga does both at every step. Joins the
    caller's transaction."""
    carried: Any = row
    carried.version += 1
    columns: list[Any] = [row._meta.get_field(name) for name in ("version", *fields)]
    values = [
        column.get_db_prep_save(getattr(row, column.attname), connection) for column in columns
    ]
    sets = ", ".join(f'"{column.column}" = %s' for column in columns)
    statement, parameters = _put(row, step, status, detail)
    update = f'UPDATE "{row._meta.db_table}" SET {sets} WHERE id = %s'  # noqa: S608 - our own names
    with connection.cursor() as cursor:
        cursor.execute(f"WITH noted AS ({statement}) {update}", [*parameters, *values, row.pk])
    _note(row, step, status)
    processes.tell(process, row, *fields, quietly=_group_of(row) is not None)


def save(process: Process[R], row: R, *fields: str) -> None:
    """As `process.save`, for code that runs within steps. Joins the caller's transaction."""
    processes.save(process, row, *fields, quietly=_group_of(row) is not None)


# --- a step's transaction ------------------------------------------------------------------------
@contextmanager
def saga_step(
    process: Process[R],
    identifier: UUID | str,
    *,
    step: str,
    action: str,
    related: Sequence[str] = (),
) -> Iterator[R]:
    """Open a step's outermost transaction; yield the locked row with `related`.

    A refusal is audited as `action` and shown on the step's row, both after the rollback. Within
    `run_together` it is neither: the refusal ends the group, and its steps run again one by one.
    """
    group = _GROUPED.get()
    if group is not None:
        grouped: Any = group.row
        if grouped.pk != processes.id_of(process, identifier):
            raise RuntimeError("The steps of a group are all of one row.")
        yield grouped
        failpoint(f"{step}.uncommitted")
        return
    with refused(process, identifier, action=action):
        try:
            with transaction.atomic(durable=True):
                yield processes.locked(process, identifier, *related)
                failpoint(f"{step}.uncommitted")
        except DomainError as error:
            _step_refused(process, identifier, step, error)
            raise


def run_together(
    process: Process[R],
    identifier: UUID | str,
    steps: Callable[[], None],
    *,
    related: Sequence[str] = (),
) -> None:
    """Run `steps`, calls of `saga_step` for this row, in one transaction: all of them or none.

    A single step costs a lock, a commit and a workflow task; three together cost half. Each step's
    effect, checks and audit entries are the same. If one refuses, all run again one by one, each in
    its own transaction: those before it stay, and the refusal is audited and shown on its step.
    Raises what they raise. `related` are joined to the locked row.
    """
    try:
        with transaction.atomic(durable=True):
            row = processes.locked(process, identifier, *related)
            token = _GROUPED.set(_Group(row))
            try:
                steps()
            finally:
                _GROUPED.reset(token)
            processes.announce(process, row)
    except Unavailable:
        raise
    except DomainError:
        steps()


@contextmanager
def refused(process: Process[R], identifier: UUID | str, *, action: str) -> Iterator[None]:
    """Audit refusals raised inside as the engine's `action` on the row."""
    with refusals(
        action=action,
        subject_type=process.subject,
        subject_id=str(identifier),
        by=ENGINE,
        via="engine",
    ):
        yield


# --- helpers -------------------------------------------------------------------------------------
def _group_of(row: models.Model) -> _Group | None:
    group = _GROUPED.get()
    return group if group is not None and group.row is row else None


def _read_statuses(row: models.Model) -> dict[str, str]:
    carried: Any = row
    return dict(carried.steps.order_by().values_list("name", "status"))


def _note(row: models.Model, step: str, status: str) -> None:
    group = _group_of(row)
    if group is not None and group.statuses is not None:
        group.statuses[step] = status


def _put(row: models.Model, step: str, status: str, detail: str) -> tuple[str, list[Any]]:
    rel: Any = row._meta.get_field("steps")
    key = rel.field.column
    now = timezone.now()
    running = status == Status.RUNNING
    statement = f"""
        INSERT INTO "{rel.related_model._meta.db_table}" AS known
            ("{key}", name, status, attempts, detail, started_at, finished_at)
        VALUES (%s, %s, %s, 1, %s, %s, %s)
        ON CONFLICT ("{key}", name) DO UPDATE SET
            status = EXCLUDED.status, attempts = known.attempts + {int(running)},
            detail = EXCLUDED.detail, finished_at = EXCLUDED.finished_at
        """  # noqa: S608 - our own names
    return statement, [row.pk, step, status, detail[:2000], now, None if running else now]


def _step_refused(
    process: Process[R], identifier: UUID | str, step: str, error: DomainError
) -> None:
    try:
        with transaction.atomic(durable=True):
            row: Any = processes.locked(process, identifier)
            # A done step stays done: a repetition that came too late did not undo it.
            done = {Status.DONE, Status.COMPENSATED}
            if row.has_ended or statuses_of(row).get(step) in done:
                return
            step_save(process, row, step, Status.FAILED, f"{error.code}: {error.detail}")
    except NotFound:
        return
