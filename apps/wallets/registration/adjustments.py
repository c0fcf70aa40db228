"""Registers adjustments with approvals, notifications and live pages."""

from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals import subject
from apps.approvals.kinds import Fact, Simulation, TierRule, status_fact
from apps.approvals.signed_words import Wording
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.engine import process
from apps.notifications import kinds as notification_kinds
from apps.notifications.kinds import NotificationKind
from apps.wallets.contracts import AdjustmentStatus
from apps.wallets.models import Wallet, WalletAdjustment
from apps.wallets.services.adjustments import ADJUSTMENT, SIGNED
from apps.wallets.services.ledger import refusal_of

VIEW = "wallets.view_walletadjustment"


def register() -> None:
    """Register adjustments. Called once, when Django is ready."""
    subject.register(
        SIGNED,
        title=_("Adjustment of a wallet"),
        facts=_facts,
        words=_words,
        simulate=_simulate,
        default_tiers=(TierRule("senior reviewer"),),
        # No rule can allow one without a signature.
        always_signed=True,
    )
    notification_kinds.register(
        NotificationKind(
            "wallet.adjustment_failed",
            _("An adjustment that I asked for was signed and could not be made"),
            email=True,
            mutable=False,
        )
    )
    process.topics_register(ADJUSTMENT, view=VIEW)


def _words(signed: Wording, adjustment: WalletAdjustment) -> None:
    taken = adjustment.amount < 0
    signed.amount(gettext("Taken out") if taken else gettext("Added"), "amount")
    rider = adjustment.wallet.rider
    signed.named(
        gettext("Wallet"),
        {"wallet": rider.user_id},
        gettext("{name} ({user_id})").format(name=rider.name, user_id=rider.user_id),
    )
    signed.prose(gettext("Why"), "reason")
    signed.person(gettext("Asked by"), "requested_by", adjustment.requested_by)
    signed.reference(
        gettext("Adjustment"), "adjustment", href=reverse("adjustment", args=[adjustment.pk])
    )


def _facts(adjustment: WalletAdjustment) -> list[Fact]:
    """Return live facts for the reader: the wallet as it is now. They are never signed."""
    waits = not AdjustmentStatus(adjustment.status).terminal
    wallet = adjustment.wallet
    refused = waits and refusal_of(wallet, -adjustment.amount) is not None
    facts = [
        status_fact(adjustment, "adjustment"),
        _balance(gettext("In the wallet now"), wallet, tone="bad" if refused else ""),
    ]
    if adjustment.error_detail:
        facts.append(Fact(gettext("Why it ended so"), adjustment.error_detail))
    return facts


def _simulate(adjustment: WalletAdjustment, user: User) -> Simulation:
    """Return the balance afterwards. Takes no lock: the decision checks again."""
    wallet, currency = adjustment.wallet, adjustment.currency
    if refusal := refusal_of(wallet, -adjustment.amount):
        return Simulation(
            outcome=gettext("Nothing would move. {why}").format(why=refusal.detail),
            tone="bad",
            facts=(_balance(gettext("In the wallet now"), wallet),),
        )
    moved, after = shown(abs(adjustment.amount), currency), wallet.balance + adjustment.amount
    said = (
        gettext("{moved} leaves the wallet of {name} at once.")
        if adjustment.amount < 0
        else gettext("{name} can spend {moved} more at once.")
    )
    return Simulation(
        outcome=said.format(moved=moved, name=wallet.rider.name),
        tone="good",
        facts=(Fact(gettext("In the wallet after it"), shown(after, currency)),),
    )


def _balance(label: str, wallet: Wallet, tone: str = "") -> Fact:
    href = reverse("wallet", args=[wallet.user_id])
    return Fact(label, shown(wallet.balance, wallet.currency), tone=tone, href=href)
