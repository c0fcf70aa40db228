"""How transfers between budgets plug into approvals, notifications and live pages."""

from typing import TYPE_CHECKING

from django.urls import reverse

from apps.approvals import kinds
from apps.approvals.kinds import ApprovalKind, Fact, Simulation, TierRule
from apps.approvals.models import ApprovalRequest
from apps.common.money import shown
from apps.interventions.contracts import TRANSFER_KIND, TransferStatus
from apps.interventions.models import Budget, BudgetTransfer
from apps.interventions.services import budget_alerts
from apps.interventions.services.transfers import SUBJECT, transfer_lock, transfer_settled
from apps.live import topics
from apps.live.topics import UUID_PATTERN, Topic
from apps.notifications import kinds as notification_kinds
from apps.notifications.kinds import NotificationKind

if TYPE_CHECKING:
    from apps.accounts.models import User

VIEW = "interventions.view_budgettransfer"


def register() -> None:
    """Called once, when Django is ready."""
    kinds.register(
        ApprovalKind(
            name=TRANSFER_KIND,
            title="Transfer between budgets",
            on_settled=transfer_settled,
            facts=_facts,
            subject_url=_url,
            lock=_lock,
            default_tiers=(TierRule("senior reviewer"),),
            # No rule makes it a thing that one person does alone.
            always_signed=True,
            simulate=_simulate,
            subject_type=SUBJECT,
            topic="transfer:{id}",
        )
    )
    notification_kinds.register(
        NotificationKind(
            "budget.transfer_failed",
            "A transfer that I asked for was signed and could not be made",
            email=True,
            mutable=False,
        )
    )
    budget_alerts.register()
    # The list shows everybody their own; the message says no more than "look again".
    topics.register(Topic("transfers"))
    topics.register(Topic("transfer", pattern=UUID_PATTERN, permission=VIEW, owner=_asked_for))


def _facts(request: ApprovalRequest) -> list[Fact]:
    """Live, for the reader: both budgets as they are now. Never part of what is signed."""
    transfer = _find(request.subject_id)
    if transfer is None:
        return []
    waits = not TransferStatus(transfer.status).terminal
    short = waits and transfer.source.available < transfer.amount
    facts = [
        Fact("Amount", shown(transfer.amount, transfer.currency)),
        Fact("Status", transfer.status.replace("_", " "), href=_url(str(transfer.pk))),
        _free("Free in the source", transfer.source, tone="bad" if short else ""),
        _free("Free in the destination", transfer.destination),
        Fact("Asked by", str(transfer.requested_by)),
    ]
    if transfer.error_detail:
        facts.append(Fact("Why it ended so", transfer.error_detail))
    return facts


def _simulate(request: ApprovalRequest, user: "User") -> Simulation:
    """Both balances after it. No lock: the decision checks again."""
    transfer = _find(request.subject_id)
    if transfer is None:
        return Simulation(outcome="Nothing: the transfer no longer exists.", tone="bad")
    moved = shown(transfer.amount, transfer.currency)
    source, destination = transfer.source, transfer.destination
    left = source.available - transfer.amount
    facts = (
        Fact(f"Free in {source.code} after it", shown(left, source.currency))
        if left >= 0
        else Fact(f"Free in {source.code}", shown(source.available, source.currency), "bad"),
        Fact(
            f"Free in {destination.code} after it",
            shown(destination.available + transfer.amount, destination.currency),
        ),
    )
    if left < 0:
        return Simulation(
            outcome=f"Nothing would move: {source.code} does not cover it.", tone="bad", facts=facts
        )
    after = Budget(total=source.total - transfer.amount, alert_percent=source.alert_percent)
    after.reserved, after.spent = source.reserved, source.spent
    low = f" Little would be left in {source.code}." if after.is_low else ""
    return Simulation(
        outcome=f"{moved} leaves {source.code} and is free in {destination.code} at once.{low}",
        tone="warn" if low else "good",
        steps=(f"take {moved} from {source.code}", f"add {moved} to {destination.code}"),
        facts=facts,
    )


def _free(label: str, budget: Budget, tone: str = "") -> Fact:
    href = reverse("budget", args=[budget.code])
    figure = f"{shown(budget.available, budget.currency)} in {budget.code}"
    return Fact(label, figure, tone=tone, href=href)


def _find(transfer_id: str) -> BudgetTransfer | None:
    return BudgetTransfer.objects.for_list().filter(pk=transfer_id).first()


def _url(transfer_id: str) -> str:
    return reverse("transfer", args=[transfer_id])


def _lock(transfer_id: str) -> None:
    transfer_lock(transfer_id)


def _asked_for(user: "User", transfer_id: str) -> bool:
    return BudgetTransfer.objects.filter(pk=transfer_id, requested_by=user).exists()
