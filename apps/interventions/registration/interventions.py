"""How this domain plugs into the shared apps: its kinds of approval, and its subject."""

from typing import TYPE_CHECKING

from django.utils import timezone

from apps.approvals import kinds
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import ApprovalKind, EditableField, Fact, Reason, TierRule
from apps.approvals.models import ApprovalRequest
from apps.common.money import shown
from apps.engine import process
from apps.interventions import services
from apps.interventions.contracts import (
    ATTENTION_KIND,
    KIND,
    SIGNAL_SETTLED,
    SUBJECT,
    TASK_QUEUE,
)
from apps.interventions.models import Intervention
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.services.rows import intervention_lock
from apps.interventions.simulation import simulate

if TYPE_CHECKING:
    from apps.engine.models import EngineCommand, WorkflowRun

#: A policy without a rule is not a policy without signatures.
DEFAULT_TIERS = (TierRule("reviewer"),)
#: Suspicion of fraud is none of them: whoever asked reads the reason.
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
    """Called once, when Django is ready."""
    kinds.register(
        ApprovalKind(
            name=KIND,
            title="Intervention",
            on_settled=services.approval_settled,
            facts=_facts,
            subject_url=_url,
            signal=SIGNAL_SETTLED,
            task_queue=TASK_QUEUE,
            lock=_lock,
            default_tiers=DEFAULT_TIERS,
            reasons=REASONS,
            # What already rejects by the API names none.
            reasons_required=False,
            clocked=True,
            edit=services.approval_edit,
            editable=(
                EditableField("amount", "Amount", type="decimal"),
                EditableField("target", "Paid to"),
                EditableField("justification", "Why", type="prose"),
            ),
            simulate=simulate,
            carried_out_by=_executions,
            subject_type=SUBJECT,
            topic=f"{SUBJECT}:{{id}}",
        )
    )
    kinds.register(
        ApprovalKind(
            name=ATTENTION_KIND,
            title="Intervention needs attention",
            on_settled=services.attention_settled,
            facts=_facts,
            subject_url=_url,
            lock=_lock,
            default_tiers=DEFAULT_TIERS,
            always_signed=True,
            subject_type=SUBJECT,
            topic=f"{SUBJECT}:{{id}}",
        )
    )
    process.register(
        INTERVENTION,
        on_closed=_on_closed,
        on_undeliverable=_on_undeliverable,
        view="interventions.view_intervention",
    )


def _facts(request: ApprovalRequest) -> list[Fact]:
    """Live, for the reader: what the budget can bear now. Never part of what is signed."""
    intervention = (
        Intervention.objects.select_related("policy", "budget", "requested_by")
        .filter(pk=request.subject_id)
        .first()
    )
    if intervention is None:
        return []
    budget = intervention.budget
    covered = budget.available >= intervention.amount
    facts = [
        Fact("Amount", shown(intervention.amount, intervention.currency)),
        Fact("Paid to", intervention.target),
        *([Fact("Region", intervention.region)] if intervention.region else []),
        Fact("Status", intervention.status.replace("_", " "), href=_url(str(intervention.pk))),
        Fact(
            "Policy",
            f"{intervention.policy.name} (version {intervention.policy.version})",
            tone="" if intervention.policy.active else "warn",
        ),
        Fact(
            "Undoing it",
            "possible" if intervention.policy.reversible else "not possible: the money is gone",
            tone="" if intervention.policy.reversible else "warn",
        ),
        Fact(
            f"Free in {budget.code}",
            shown(budget.available, budget.currency),
            tone="" if covered or intervention.receipt else "bad",
            href=f"/budgets/{budget.code}/",
        ),
        Fact("Asked by", str(intervention.requested_by)),
    ]
    if intervention.receipt:
        facts.append(Fact("Receipt", intervention.receipt))
    return facts


def _executions(request: ApprovalRequest) -> tuple[str, ...]:
    intervention = Intervention.objects.filter(pk=request.subject_id).first()
    return (intervention.execution_workflow_id,) if intervention else ()


def _url(intervention_id: str) -> str:
    return f"/interventions/{intervention_id}/"


def _lock(intervention_id: str) -> None:
    intervention_lock(intervention_id)


def _on_undeliverable(command: "EngineCommand") -> None:
    services.command_undeliverable(command=command, as_of=timezone.now())


def _on_closed(intervention_id: str, run: "WorkflowRun") -> None:
    services.process_closed(
        intervention_id=intervention_id,
        workflow_id=run.workflow_id,
        run_status=run.status,
        as_of=timezone.now(),
    )
