"""Registers interventions with the shared apps: their kinds of approval, and their subject."""

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals import attention, subject
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import EditableField, Fact, Reason, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process
from apps.interventions.contracts import SIGNAL_SETTLED, Execution
from apps.interventions.models import Intervention
from apps.interventions.registration.signed import say_budget, say_terms
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
        ("duplicate", _("Duplicate of another payment")),
        ("wrong_target", _("Wrong recipient")),
        ("wrong_amount", _("Wrong amount")),
        ("insufficient_evidence", _("Evidence is missing")),
        ("not_justified", _("Not justified")),
        ("outside_policy", _("Outside the policy")),
        ("other", _("Other")),
    )
)


#: What is known of the payment when a review item is opened.
PAYMENT = {
    Execution.NEVER: _("not made"),
    Execution.UNKNOWN: _("perhaps made: the answer is not known"),
    Execution.DONE: _("made"),
    Execution.REFUSED: _("refused"),
    Execution.REVERSED: _("made and taken back"),
}


def register() -> None:
    """Register the process and its kinds of approval. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title=_("Intervention"),
        facts=_facts,
        words=_words,
        simulate=simulate,
        signal=SIGNAL_SETTLED,
        default_tiers=DEFAULT_TIERS,
        reasons=REASONS,
        # Callers of the API may reject without a coded reason.
        reasons_required=False,
        editable=(
            EditableField("amount", _("Amount"), type="decimal"),
            EditableField("target", _("Paid to")),
            EditableField("justification", _("Why"), type="prose"),
        ),
        carried_out_by=lambda intervention: (intervention.execution_workflow_id,),
    )
    attention.register(
        ATTENTION,
        title=_("Intervention needs attention"),
        facts=_about,
        words=_words_of_attention,
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


def _words(signed: Wording, intervention: Intervention) -> None:
    budget, policy = intervention.budget, intervention.policy
    signed.amount(gettext("Amount"), "amount")
    signed.text(gettext("Paid to"), "target")
    signed.prose(gettext("Why"), "justification")
    signed.text(gettext("Region"), "region")
    say_terms(signed, policy, undoing=gettext("Undoing it"))
    say_budget(signed, gettext("From the budget"), "budget", budget)
    signed.person(gettext("Asked by"), "requested_by", intervention.requested_by)
    href = reverse("intervention", args=[intervention.pk])
    signed.reference(gettext("Intervention"), "intervention", href=href)


def _words_of_attention(signed: Wording, intervention: Intervention) -> None:
    for state, words in PAYMENT.items():
        signed.named(gettext("Payment at the time"), {"execution": state}, words)


def _facts(intervention: Intervention) -> list[Fact]:
    """Return live facts for the reader, such as what is available in the budget. They are never
    signed."""
    budget, policy = intervention.budget, intervention.policy
    covered = budget.available >= intervention.amount
    facts = [
        status_fact(intervention, "intervention"),
        free(
            gettext("Free in {code}").format(code=budget.code),
            budget,
            tone="" if covered or intervention.receipt else "bad",
        ),
    ]
    if not policy.active:
        facts.append(
            Fact(
                gettext("Policy"),
                gettext("version {version} is not in force").format(version=policy.version),
                tone="warn",
            )
        )
    if intervention.receipt:
        facts.append(Fact(gettext("Receipt"), intervention.receipt))
    return facts


def _about(intervention: Intervention) -> list[Fact]:
    """As `_facts`, with what the intervention is: of a review item that is not signed."""
    return [
        Fact(gettext("Amount"), shown(intervention.amount, intervention.currency)),
        Fact(gettext("Paid to"), intervention.target),
        *([Fact(gettext("Region"), intervention.region)] if intervention.region else []),
        *terms(intervention.policy),
        *_facts(intervention),
        Fact(gettext("Asked by"), str(intervention.requested_by)),
    ]


def _on_undeliverable(command: "EngineCommand") -> None:
    recovery.command_undeliverable(command=command, as_of=timezone.now())


def _on_closed(intervention_id: str, run: "WorkflowRun") -> None:
    recovery.process_closed(
        intervention_id=intervention_id,
        workflow_id=run.workflow_id,
        run_status=run.status,
        as_of=timezone.now(),
    )
