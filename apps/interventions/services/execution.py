"""The payment: an effect in an external system, whose steps `apps.engine.effects` writes."""

from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.engine.effects import Effect
from apps.interventions import executor
from apps.interventions.contracts import Step
from apps.interventions.models import Intervention
from apps.interventions.services.budgets import has_open_reservation
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.services.features import features_revert
from apps.interventions.services.rows import StepStatus, step_put


def _check_reserved(intervention: Intervention) -> None:
    """Require a reservation: after the call the money is bound until the executor reports the
    outcome."""
    if not has_open_reservation(intervention):
        raise Conflict(_("No money is reserved for this."), code="not_reserved")


def _undone(intervention: Intervention) -> None:
    if features_revert(intervention):
        step_put(intervention, Step.UPDATE_FEATURE_STORE, StepStatus.COMPENSATED)


#: Codes `already_settled`, `being_undone`, `not_reserved`, `execution_refused`, `receipt_differs`,
#: `execution_unknown`. The executor is looked up at the call, so that a test can replace it.
EXECUTION = Effect(
    process=INTERVENTION,
    name="execution",
    step=Step.EXECUTE,
    reversal=Step.ROLL_BACK,
    call=lambda intervention: executor.execute(intervention),
    take_back=lambda intervention, void_only: executor.reverse(intervention, void_only=void_only),
    check=_check_reserved,
    reversible=lambda intervention: intervention.policy.reversible,
    undone=_undone,
)
