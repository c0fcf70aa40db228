"""Review items of the kind "intervention.attention", for what the system must not decide alone.

Approve means "continue from the row". Reject means "do not continue": an intervention that was
never executed ends as failed and its money is released; one that was, or may have been, executed is
reversed as far as its policy allows, and otherwise stands and is booked as spent; one that has
ended already, with later steps missing, stays as it is.
"""

from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.interventions.contracts import ATTENTION_KIND, Execution, InterventionStatus
from apps.interventions.models import Intervention
from apps.interventions.services.commands import (
    INTERVENTION,
    intervention_start_again,
)
from apps.interventions.services.rows import execution_of, step_statuses
from apps.interventions.services.settlement import settle_row


def _carry_on(intervention: Intervention, decided: Decided) -> None:
    intervention_start_again(intervention, key=f"attention:{decided.request_id}")


def _give_up(intervention: Intervention, decided: Decided) -> None:
    if _may_be_executed(intervention):
        # The saga reads that the item was rejected.
        intervention_start_again(intervention, key=f"attention:{decided.request_id}")
        return
    settle_row(
        intervention,
        InterventionStatus.FAILED,
        code="given_up",
        detail=decided.detail or gettext("A person decided not to carry on."),
        by=decided.by,
        via=decided.via,
        as_of=decided.as_of,
    )


def _may_be_executed(intervention: Intervention) -> bool:
    return execution_of(step_statuses(intervention)) in {Execution.UNKNOWN, Execution.DONE}


def _what_reject_does(intervention: Intervention) -> str:
    if intervention.has_ended:
        return gettext("Leave it as it is.")
    if not _may_be_executed(intervention):
        return gettext("End it as failed; nothing was executed and its money is free.")
    if intervention.policy.reversible:
        return gettext("Undo the execution, give the money back and end it as failed.")
    return gettext("Find out whether it was executed; if so it stands and the money is spent.")


ATTENTION = Attention(
    row=INTERVENTION,
    kind=ATTENTION_KIND,
    reject=_what_reject_does,
    about=lambda intervention: {"execution": execution_of(step_statuses(intervention))},
    on_carry_on=_carry_on,
    on_give_up=_give_up,
)

attention_open = ATTENTION.open
