"""Functions that the services share: the locked row, its version and broadcasts, and its steps."""

from functools import partial

from apps.approvals.selectors import requests_about
from apps.common.errors import Conflict
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine import effects, process, steps
from apps.interventions.contracts import ATTENTION_KIND, SUBJECT, Step
from apps.interventions.models import Budget, Intervention
from apps.interventions.services.commands import INTERVENTION
from apps.live.broadcast import broadcast

#: Functions of the row (`apps.engine.process`).
parse_id = partial(process.id_of, INTERVENTION)
intervention_lock = partial(process.locked, INTERVENTION)
check_unsettled = partial(process.check_unsettled, INTERVENTION)
record = partial(process.record, INTERVENTION)
row_save = partial(steps.save, INTERVENTION)
#: Functions of the saga's steps (`apps.engine.steps`), and of the payment's state.
StepStatus = steps.Status
step_put = steps.step_put
step_statuses = steps.statuses_of
step_save = partial(steps.step_save, INTERVENTION)
saga_step = partial(steps.saga_step, INTERVENTION)
step_group_run = partial(steps.run_together, INTERVENTION)
execution_of = partial(effects.state_of, step=Step.EXECUTE)
check_forwards = partial(effects.check_forwards, INTERVENTION, reversal=Step.ROLL_BACK)


def check_executor(intervention: Intervention, workflow_id: str) -> None:
    """Raise Conflict `already_executing` when another workflow executes the intervention."""
    if intervention.executor_id not in {"", workflow_id}:
        raise Conflict(
            filled(
                _("{executor_id} executes this intervention."), executor_id=intervention.executor_id
            ),
            code="already_executing",
        )


def attention_status(intervention: Intervention) -> str:
    """Return the status of the newest request for a person's decision; "open": it is still open."""
    newest = requests_about(SUBJECT, intervention.pk, kind=ATTENTION_KIND).first()
    return newest.status if newest else ""


def budget_announce(budget: Budget, *, version: int) -> None:
    """Update open pages that show this budget."""
    for topic in ("budgets", f"budget:{budget.code}"):
        broadcast(topic, id=budget.code, version=version)
