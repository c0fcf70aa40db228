"""Registers interventions with the shared apps: their kinds of approval, and their subject."""

from typing import TYPE_CHECKING

from django.utils import timezone

from apps.approvals import attention, subject
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import EditableField, Fact, Reason, TierRule, status_fact
from apps.common.money import shown
from apps.engine import process
from apps.interventions.contracts import SIGNAL_SETTLED
from apps.interventions.models import Intervention
from apps.interventions.services import recovery
from apps.interventions.services.approval import SIGNED
from apps.interventions.services.attention import ATTENTION
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.simulation import free, simulate, terms

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun

#: Tiers of a policy without a rule: without them nobody would have to sign.
DEFAULT_TIERS = (TierRule("reviewer"),)
#: Suspicion of fraud is not among the reasons, because the requester reads the reason.
REASONS = tuple(
    Reason(code, label, Verdict.REJECT, text_required=code == "other")
    for code, label in (
        ("duplicate", "Duplicate of another payment"),
        ("wrong_target", "Wrong recipient"),
        ("wrong_amount", "Wrong amount"),
        ("insufficient_evidence", "Evidence is missing"),
        ("not_justified", "Not justified"),
        ("outside_policy", "Outside the policy"),
        ("other", "Other"),
    )
)


def register() -> None:
    """Register the process and its kinds of approval. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title="Intervention",
        facts=_facts,
        simulate=simulate,
        signal=SIGNAL_SETTLED,
        default_tiers=DEFAULT_TIERS,
        reasons=REASONS,
        # Callers of the API may reject without a coded reason.
        reasons_required=False,
        editable=(
            EditableField("amount", "Amount", type="decimal"),
            EditableField("target", "Paid to"),
            EditableField("justification", "Why", type="prose"),
        ),
        carried_out_by=lambda intervention: (intervention.execution_workflow_id,),
    )
    attention.register(
        ATTENTION,
        title="Intervention needs attention",
        facts=_facts,
        default_tiers=DEFAULT_TIERS,
        related=SIGNED.related,
    )
    process.register(
        INTERVENTION,
        restart=recovery.intervention_restart,
        on_closed=_on_closed,
        on_undeliverable=_on_undeliverable,
        view="interventions.view_intervention",
    )


def _facts(intervention: Intervention) -> list[Fact]:
    """Return live facts for the reader, such as what is available in the budget. They are never
    signed."""
    budget = intervention.budget
    covered = budget.available >= intervention.amount
    facts = [
        Fact("Amount", shown(intervention.amount, intervention.currency)),
        Fact("Paid to", intervention.target),
        *([Fact("Region", intervention.region)] if intervention.region else []),
        status_fact(intervention, "intervention"),
        *terms(intervention.policy),
        free(
            f"Free in {budget.code}",
            budget,
            tone="" if covered or intervention.receipt else "bad",
        ),
        Fact("Asked by", str(intervention.requested_by)),
    ]
    if intervention.receipt:
        facts.append(Fact("Receipt", intervention.receipt))
    return facts


def _on_undeliverable(command: "EngineCommand") -> None:
    recovery.command_undeliverable(command=command, as_of=timezone.now())


def _on_closed(intervention_id: str, run: "WorkflowRun") -> None:
    recovery.process_closed(
        intervention_id=intervention_id,
        workflow_id=run.workflow_id,
        run_status=run.status,
        as_of=timezone.now(),
    )
