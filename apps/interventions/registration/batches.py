"""How batches plug into the shared apps: their kind of approval, their subject, their topics."""

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps.approvals import kinds
from apps.approvals.kinds import ApprovalKind, Fact, Simulation, TierRule
from apps.approvals.models import ApprovalRequest
from apps.common.money import shown
from apps.engine import runs
from apps.interventions import services
from apps.interventions.contracts import (
    BATCH_KIND,
    BATCH_SUBJECT,
    KIND,
    SIGNAL_SETTLED,
    TASK_QUEUE,
    BatchStatus,
)
from apps.interventions.models import InterventionBatch, Policy
from apps.interventions.services import settlement
from apps.interventions.services.batches_rows import (
    RUN,
    batch_lock,
    item_asked,
    item_settled,
    progress_of,
)
from apps.interventions.services.batches_warnings import Warned

#: So many are told to who signs; the batch's own page has more.
_MOST_WARNINGS = 20


def register() -> None:
    """Called once, when Django is ready."""
    kinds.register(
        ApprovalKind(
            name=BATCH_KIND,
            title="Batch of interventions",
            on_settled=services.batch_settled,
            facts=_facts,
            subject_url=_url,
            signal=SIGNAL_SETTLED,
            task_queue=TASK_QUEUE,
            lock=_lock,
            # Signed as one intervention of that total would be.
            rules_of=KIND,
            default_tiers=(TierRule("reviewer"),),
            clocked=True,
            simulate=_simulate,
            carried_out_by=_carriers,
            subject_type=BATCH_SUBJECT,
            # No topic: the request's page would fetch all that is signed with every payment.
            # Every payment stands in it; written out a character may need two bytes.
            payload_bytes=2 * settings.BATCH_MAX_BYTES + 1024 * 1024,
        )
    )
    settlement.follow(settled=item_settled, asked=item_asked)
    runs.register(RUN, view="interventions.view_intervention")


def _facts(request: ApprovalRequest) -> list[Fact]:
    """Live, for the reader: what the budget can bear now. Never part of what is signed."""
    batch = _find(request.subject_id)
    if batch is None:
        return []
    budget = batch.budget
    progress = progress_of(batch)
    left_out = progress.failed if batch.status == BatchStatus.PENDING else 0
    facts = [
        Fact("Amount in all", shown(batch.amount, batch.currency)),
        Fact("Payments", f"{batch.total - left_out:,}", href=_url(str(batch.pk))),
        Fact("Status", str(batch.status)),
        Fact(
            "Policy",
            f"{batch.policy.name} (version {batch.policy.version})",
            tone="" if batch.policy.active else "warn",
        ),
        Fact(
            "Undoing a payment",
            "possible" if batch.policy.reversible else "not possible: the money is gone",
            tone="" if batch.policy.reversible else "warn",
        ),
        Fact(
            f"Free in {budget.code}",
            shown(budget.available, budget.currency),
            tone="bad"
            if batch.status == BatchStatus.PENDING and budget.available < batch.amount
            else "",
            href=f"/budgets/{budget.code}/",
        ),
        Fact("Asked by", str(batch.requested_by)),
    ]
    if left_out:
        facts.insert(2, Fact("Left out", f"{left_out:,} that cannot be paid", tone="warn"))
    return facts


def _simulate(request: ApprovalRequest) -> Simulation:
    """The budget after it, what looks like a payment made twice, and how it is carried out."""
    batch = _find(request.subject_id)
    if batch is None:
        return Simulation(outcome="Nothing: the batch no longer exists.", tone="bad")
    budget, policy = batch.budget, batch.policy
    if BatchStatus(batch.status).terminal:
        return Simulation(outcome=f"Nothing: it is {batch.status} already.", tone="bad")
    if not policy.active and not Policy.objects.filter(code=policy.code, active=True).exists():
        off = f"Every payment would fail: the policy {policy.code} is switched off."
        return Simulation(outcome=off, tone="bad")
    left = budget.available - batch.amount
    free = Fact("Free now", shown(budget.available, budget.currency))
    after = Fact(
        "Free after it",
        shown(left, budget.currency)
        if left >= 0
        else f"{shown(-left, budget.currency)} too little",
        tone="bad" if left < 0 else "",
    )
    warned = services.batch_warn(batch, as_of=timezone.now())
    outcome = (
        "Its payments are carried out one after the other, each for itself."
        if left >= 0
        else f"The budget {budget.code} does not cover all: the last payments would fail."
    )
    if warned.total:
        outcome += f" Look at {warned.total:,} first that look like another payment."
    return Simulation(
        outcome=outcome,
        tone="bad" if left < 0 else "good" if policy.reversible and not warned.total else "warn",
        steps=(
            f"begin up to {settings.BATCH_CONCURRENCY} payments at a time",
            "for each: check the policy, reserve the amount, pay, book it",
            "a payment that fails is told with its reason; the others go on",
        ),
        facts=(free, after, *_warnings(warned, _url(str(batch.pk)))),
    )


def _warnings(warned: Warned, url: str) -> tuple[Fact, ...]:
    told = [Fact(one.place, one.detail, tone="warn") for one in warned.first[:_MOST_WARNINGS]]
    if warned.total > len(told):
        more = f"{warned.total - len(told):,} like these, on the batch's page"
        told.append(Fact("And more", more, tone="warn", href=url))
    return tuple(told)


def _carriers(request: ApprovalRequest) -> tuple[str, ...]:
    batch = _find(request.subject_id)
    return (batch.workflow_id,) if batch and batch.workflow_id != request.workflow_id else ()


def _find(batch_id: str) -> InterventionBatch | None:
    rows = InterventionBatch.objects.select_related("policy", "budget", "requested_by")
    return rows.filter(pk=batch_id).first()


def _url(batch_id: str) -> str:
    return reverse("batch", args=[batch_id])


def _lock(batch_id: str) -> None:
    batch_lock(batch_id)
