"""Registers transfers between budgets with approvals, notifications and live pages."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import subject
from apps.approvals.kinds import Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process
from apps.interventions.contracts import TransferStatus
from apps.interventions.models import Budget, BudgetTransfer
from apps.interventions.registration.signed import say_budget
from apps.interventions.services import budget_alerts
from apps.interventions.services.transfers import SIGNED, TRANSFER
from apps.notifications import kinds as notification_kinds
from apps.notifications.kinds import NotificationKind

VIEW = "interventions.view_budgettransfer"


def register() -> None:
    """Register transfers and budget alerts. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title=_("Transfer between budgets"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        default_tiers=(TierRule("senior reviewer"),),
        # No rule can allow a transfer without a signature.
        always_signed=True,
    )
    notification_kinds.register(
        NotificationKind(
            "budget.transfer_failed",
            _("A transfer that I asked for was signed and could not be made"),
            email=True,
            mutable=False,
        )
    )
    budget_alerts.register()
    process.topics_register(TRANSFER, view=VIEW)


def _words(signed: Wording, transfer: BudgetTransfer) -> None:
    signed.amount(gettext("Amount"), "amount")
    say_budget(signed, gettext("From the budget"), "source", transfer.source)
    say_budget(signed, gettext("To the budget"), "destination", transfer.destination)
    signed.prose(gettext("Why"), "reason")
    signed.person(gettext("Asked by"), "requested_by", transfer.requested_by)
    signed.reference(gettext("Transfer"), "transfer", href=reverse("transfer", args=[transfer.pk]))


def _facts(transfer: BudgetTransfer) -> list[Fact]:
    """Return live facts for the reader: both budgets as they are now. They are never signed."""
    waits = not TransferStatus(transfer.status).terminal
    short = waits and transfer.source.available < transfer.amount
    facts = [
        status_fact(transfer, "transfer"),
        _free(gettext("Free in the source"), transfer.source, tone="bad" if short else ""),
        _free(gettext("Free in the destination"), transfer.destination),
    ]
    if transfer.error_detail:
        facts.append(Fact(gettext("Why it ended so"), transfer.error_detail))
    return facts


def _simulate(transfer: BudgetTransfer, user: User) -> Simulation:
    """Return both balances afterwards. Takes no lock: the decision checks again."""
    moved = shown(transfer.amount, transfer.currency)
    source, destination = transfer.source, transfer.destination
    left = source.available - transfer.amount
    facts = (
        Fact(
            gettext("Free in {code} after it").format(code=source.code),
            shown(left, source.currency),
        )
        if left >= 0
        else Fact(
            gettext("Free in {code}").format(code=source.code),
            shown(source.available, source.currency),
            "bad",
        ),
        Fact(
            gettext("Free in {code} after it").format(code=destination.code),
            shown(destination.available + transfer.amount, destination.currency),
        ),
    )
    if left < 0:
        return Simulation(
            outcome=gettext("Nothing would move: {code} does not cover it.").format(
                code=source.code
            ),
            tone="bad",
            facts=facts,
        )
    after = Budget(total=source.total - transfer.amount, alert_percent=source.alert_percent)
    after.reserved, after.spent = source.reserved, source.spent
    said = [
        gettext("{moved} leaves {code} and is free in {destination_code} at once.").format(
            moved=moved, code=source.code, destination_code=destination.code
        )
    ]
    if after.is_low:
        said.append(gettext("Little would be left in {code}.").format(code=source.code))
    return Simulation(
        outcome=" ".join(said),
        tone="warn" if after.is_low else "good",
        steps=(
            gettext("take {moved} from {code}").format(moved=moved, code=source.code),
            gettext("add {moved} to {code}").format(moved=moved, code=destination.code),
        ),
        facts=facts,
    )


def _free(label: str, budget: Budget, tone: str = "") -> Fact:
    href = reverse("budget", args=[budget.code])
    figure = gettext("{shown} in {code}").format(
        shown=shown(budget.available, budget.currency), code=budget.code
    )
    return Fact(label, figure, tone=tone, href=href)
