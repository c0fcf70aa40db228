"""Shared by the verbs: the locked row, its version and broadcasts, and the rows of its steps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from apps.audit.contracts import ENGINE, Actor
from apps.audit.services import refusals
from apps.common.errors import Conflict, DomainError, NotFound
from apps.common.failpoints import failpoint
from apps.engine import process
from apps.interventions.contracts import SUBJECT, Execution, InterventionStatus, Step
from apps.interventions.models import Budget, Intervention, InterventionStep
from apps.interventions.services.commands import INTERVENTION
from apps.live.broadcast import broadcast

StepStatus = InterventionStep.Status
Fields = Sequence[str]

#: The row whose steps are joined in this thread.
_JOINED: ContextVar[Intervention | None] = ContextVar("joined_steps", default=None)
_COLUMNS = {field.name: field for field in Intervention._meta.concrete_fields}
_EXECUTION = {
    StepStatus.RUNNING: Execution.UNKNOWN,
    StepStatus.DONE: Execution.DONE,
    StepStatus.FAILED: Execution.REFUSED,
    StepStatus.COMPENSATED: Execution.REVERSED,
}


def parse_id(intervention_id: UUID | str) -> UUID:
    """The id as a UUID; NotFound for what cannot be one."""
    return process.id_of(INTERVENTION, intervention_id)


def intervention_lock(intervention_id: UUID | str, *related: str) -> Intervention:
    """The row, locked until the end of the transaction; `related` are read with it, others when
    they are looked at. A saga does this nine times, mostly for the row alone."""
    return process.locked(INTERVENTION, intervention_id, *related)


def is_settled(intervention: Intervention) -> bool:
    """Whether its status is terminal."""
    return InterventionStatus(intervention.status).terminal


def check_unsettled(intervention: Intervention) -> None:
    """Conflict `already_settled` with the status as extra."""
    if is_settled(intervention):
        raise Conflict(
            f"The intervention is {intervention.status} already.",
            code="already_settled",
            status=intervention.status,
        )


def row_save(intervention: Intervention, *fields: str) -> None:
    """Write the fields and a new version, and tell open pages. Joins the caller's transaction."""
    process.save(INTERVENTION, intervention, *fields, quietly=_is_joined(intervention))


def step_save(
    intervention: Intervention, step: Step, status: str, detail: str = "", *, fields: Fields = ()
) -> None:
    """`step_put` and `row_save` in one statement: a saga does this seven times."""
    intervention.version += 1
    columns = [_COLUMNS[name] for name in ("version", *fields)]
    sets = ", ".join(f'"{column.column}" = %s' for column in columns)
    values = [
        column.get_db_prep_save(getattr(intervention, column.attname), connection)
        for column in columns
    ]
    statement, parameters = _step_statement(intervention, step, status, detail)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH noted AS ({statement})"  # noqa: S608 - our own columns
            f" UPDATE interventions_intervention SET {sets} WHERE id = %s",
            [*parameters, *values, intervention.pk],
        )
    process.tell(INTERVENTION, intervention, *fields, quietly=_is_joined(intervention))


def row_announce(intervention: Intervention) -> None:
    """Tell the pages that show this intervention. Of joined steps only the last."""
    if not _is_joined(intervention):
        process.announce(INTERVENTION, intervention)


def _is_joined(intervention: Intervention) -> bool:
    return _JOINED.get() is intervention


def budget_announce(budget: Budget, *, version: int) -> None:
    """Tell the pages that show this budget."""
    for topic in ("budgets", f"budget:{budget.code}"):
        broadcast(topic, id=budget.code, version=version)


def record(
    intervention: Intervention,
    action: str,
    *,
    by: Actor = ENGINE,
    via: str = "engine",
    **body: object,
) -> None:
    """An audit entry about the intervention, in the caller's transaction."""
    process.record(INTERVENTION, intervention, action, by=by, via=via, **body)


# --- steps ---------------------------------------------------------------------------------------
def step_put(intervention: Intervention, step: Step, status: str, detail: str = "") -> None:
    """Write the step's row; a second write to it counts as a further attempt when it runs again.

    One statement instead of a read and a write.
    """
    with connection.cursor() as cursor:
        cursor.execute(*_step_statement(intervention, step, status, detail))


def _step_statement(
    intervention: Intervention, step: Step, status: str, detail: str
) -> tuple[str, list[Any]]:
    now = timezone.now()
    finished = None if status == StepStatus.RUNNING else now
    again = "+ 1" if status == StepStatus.RUNNING else ""
    statement = f"""
        INSERT INTO interventions_interventionstep AS known
            (intervention_id, name, status, attempts, detail, started_at, finished_at)
        VALUES (%s, %s, %s, 1, %s, %s, %s)
        ON CONFLICT (intervention_id, name) DO UPDATE SET
            status = EXCLUDED.status, attempts = known.attempts {again},
            detail = EXCLUDED.detail, finished_at = EXCLUDED.finished_at
        """  # noqa: S608 - `again` is one of two constants
    return statement, [intervention.pk, step, status, detail[:2000], now, finished]


def step_statuses(intervention: Intervention) -> dict[str, str]:
    """Name → status of the steps that were begun."""
    return dict(intervention.steps.order_by().values_list("name", "status"))


def execution_of(steps: dict[str, str]) -> Execution:
    """What the steps say about the effect in the outside world."""
    if Step.EXECUTE not in steps:
        return Execution.NEVER
    return _EXECUTION[StepStatus(steps[Step.EXECUTE])]


def is_undoing(steps: dict[str, str]) -> bool:
    """Whether a reversal was begun and may have happened: from then on there is only backwards."""
    return steps.get(Step.ROLL_BACK) in {StepStatus.RUNNING, StepStatus.DONE}


@contextmanager
def saga_step(
    *, intervention_id: UUID | str, step: Step, action: str, related: Sequence[str] = ()
) -> Iterator[Intervention]:
    """The outermost transaction of a step of the saga, with the row locked and `related` at hand.

    A refusal is audited and shown on the step's row, both after the rollback. Among joined steps
    (`joined_steps`) neither: there is the one transaction, and a refusal ends it.
    """
    joined = _JOINED.get()
    if joined is not None:
        if joined.pk != parse_id(intervention_id):
            raise RuntimeError("Joined steps are all of one intervention.")
        yield joined
        failpoint(f"{step}.uncommitted")
        return
    with refusals(
        action=action,
        subject_type=SUBJECT,
        subject_id=str(intervention_id),
        by=ENGINE,
        via="engine",
    ):
        try:
            with transaction.atomic(durable=True):
                yield intervention_lock(intervention_id, *related)
                failpoint(f"{step}.uncommitted")
        except DomainError as error:
            _step_refused(intervention_id, step, error)
            raise


@contextmanager
def joined_steps(intervention_id: UUID | str, *related: str) -> Iterator[None]:
    """One transaction and one lock for every `saga_step` within, all of this intervention; pages
    are told once."""
    with transaction.atomic(durable=True):
        intervention = intervention_lock(intervention_id, *related)
        token = _JOINED.set(intervention)
        try:
            yield
        finally:
            _JOINED.reset(token)
        row_announce(intervention)


def _step_refused(intervention_id: UUID | str, step: Step, error: DomainError) -> None:
    try:
        with transaction.atomic(durable=True):
            intervention = intervention_lock(intervention_id)
            # Done stays done: a step that is repeated too late was not undone by that.
            done = {StepStatus.DONE, StepStatus.COMPENSATED}
            if is_settled(intervention) or step_statuses(intervention).get(step) in done:
                return
            step_save(intervention, step, StepStatus.FAILED, f"{error.code}: {error.detail}")
    except NotFound:
        return
