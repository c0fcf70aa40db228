"""Shared by the verbs: the locked row, its version and broadcasts, and the rows of its steps."""

from functools import partial
from uuid import UUID

from apps.approvals.selectors import requests_about
from apps.audit.contracts import ENGINE, Actor
from apps.common.errors import Conflict
from apps.engine import effects, process, steps
from apps.interventions.contracts import ATTENTION_KIND, SUBJECT, InterventionStatus, Step
from apps.interventions.models import Budget, Intervention
from apps.interventions.services.commands import INTERVENTION
from apps.live.broadcast import broadcast

#: The steps of a saga (`apps.engine.steps`), and what they say about the payment.
StepStatus = steps.Status
step_put = steps.step_put
step_statuses = steps.statuses_of
step_save = partial(steps.step_save, INTERVENTION)
saga_step = partial(steps.saga_step, INTERVENTION)
step_group_run = partial(steps.run_together, INTERVENTION)
execution_of = partial(effects.state_of, step=Step.EXECUTE)
is_undoing = partial(effects.is_undoing, reversal=Step.ROLL_BACK)


def parse_id(intervention_id: UUID | str) -> UUID:
    """The id as a UUID; NotFound for what cannot be one."""
    return process.id_of(INTERVENTION, intervention_id)


def intervention_lock(intervention_id: UUID | str, *related: str) -> Intervention:
    """The row, locked until the end of the transaction; `related` are read with it."""
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


def check_executor(intervention: Intervention, workflow_id: str) -> None:
    """Conflict `already_executing` when another workflow executes it."""
    if intervention.executor_id not in {"", workflow_id}:
        raise Conflict(
            f"{intervention.executor_id} executes this intervention.", code="already_executing"
        )


def attention_status(intervention: Intervention) -> str:
    """What the newest question to a person about it came to; "open": one is asked now."""
    newest = requests_about(SUBJECT, intervention.pk, kind=ATTENTION_KIND).first()
    return newest.status if newest else ""


def row_save(intervention: Intervention, *fields: str) -> None:
    """Write the fields and a new version, and tell open pages. Joins the caller's transaction."""
    steps.save(INTERVENTION, intervention, *fields)


def row_announce(intervention: Intervention) -> None:
    """Tell the pages that show this intervention."""
    steps.announce(INTERVENTION, intervention)


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
