"""Simulates the approval of an intervention. Reads only, without locks: the saga checks again."""

from decimal import Decimal

from django.db.models import Count, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from apps.accounts.models import User
from apps.approvals.kinds import Fact, Simulation
from apps.common.ended import ended_already
from apps.common.errors import DomainError
from apps.common.language import lazy as _
from apps.common.money import shown
from apps.common.windows import site_day
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Budget, BudgetEntry, Intervention, Policy
from apps.interventions.services.budgets import has_open_reservation
from apps.interventions.services.periods import check_open
from apps.interventions.services.policy_limits import check_target, check_terms

#: The saga's steps in words, in order.
STEPS = (
    _("check the policy"),
    _("read the policy's terms"),
    _("reserve {amount} in {budget}"),
    _("pay {amount} to {target}"),
    _("update the feature store"),
    _("notify the people concerned"),
    _("record the outcome and book the spending"),
)


def simulate(intervention: Intervention, user: User) -> Simulation:
    """Return the budget afterwards, competing reservations, the seven steps, and a refusal if
    any."""
    budget = intervention.budget
    amount = shown(intervention.amount, intervention.currency)
    facts = _facts(intervention, budget)
    if refused := _refused(intervention, budget):
        return Simulation(
            outcome=gettext("It would end without a payment. {refused}").format(refused=refused),
            tone="bad",
            facts=facts,
        )
    left = budget.available - intervention.amount
    others = _waiting_beside(intervention)[1]
    tight = others > left
    said = [
        gettext("{amount} is reserved and paid to {target}.").format(
            amount=amount, target=intervention.target
        )
    ]
    if tight:
        said.append(gettext("The budget does not cover everything else that waits."))
    return Simulation(
        outcome=" ".join(said),
        tone="warn" if tight or not intervention.policy.reversible else "good",
        steps=tuple(
            step.format(amount=amount, budget=budget.code, target=intervention.target)
            for step in STEPS
        ),
        facts=facts,
    )


# --- facts shared by all payments under a policy, from a budget -----------------------------------
def terms(policy: Policy) -> list[Fact]:
    """Return the policy's version, and whether its payments can be reversed."""
    undone = (
        gettext("possible") if policy.reversible else gettext("not possible: the money is gone")
    )
    return [
        Fact(
            gettext("Policy"),
            gettext("{name} (version {version})").format(name=policy.name, version=policy.version),
            tone="" if policy.active else "warn",
        ),
        Fact(gettext("Undoing it"), undone, tone="" if policy.reversible else "warn"),
    ]


def free(label: str, budget: Budget, *, tone: str = "") -> Fact:
    """Return what is available in the budget now."""
    href = reverse("budget", args=[budget.code])
    return Fact(label, _money(budget, budget.available), tone=tone, href=href)


def free_after(budget: Budget, amount: Decimal) -> Fact:
    """Return what would be available after the amount (major units) is spent."""
    left = budget.available - amount
    figure = (
        _money(budget, left)
        if left >= 0
        else gettext("{money} too little").format(money=_money(budget, -left))
    )
    return Fact(gettext("Free after it"), figure, tone="bad" if left < 0 else "")


# --- helpers --------------------------------------------------------------------------------------
def _facts(intervention: Intervention, budget: Budget) -> tuple[Fact, ...]:
    left = budget.available - intervention.amount
    reserved, reserved_sum = _reserved_beside(intervention)
    waiting, waiting_sum = _waiting_beside(intervention)
    return (
        free(gettext("Free now"), budget),
        free_after(budget, intervention.amount),
        Fact(gettext("Reserved for others"), _reservations(budget, reserved, reserved_sum)),
        Fact(
            gettext("Others waiting for a signature"),
            _requests(budget, waiting, waiting_sum),
            tone="warn" if left >= 0 and waiting_sum > left else "",
        ),
    )


def _refused(intervention: Intervention, budget: Budget) -> str:
    if InterventionStatus(intervention.status).terminal:
        return str(ended_already(intervention.status))
    policy, amount, as_of = intervention.policy, intervention.amount, timezone.now()
    try:
        check_terms(policy, amount=amount, region=intervention.region, as_of=as_of)
        if not budget.is_open_on(site_day(as_of)) and not has_open_reservation(intervention):
            check_open(budget, as_of=as_of)
        if policy.target_limit is not None and not has_open_reservation(intervention):
            check_target(policy, target=intervention.target, amount=amount, as_of=as_of)
    except DomainError as refusal:
        return refusal.detail
    # A newer version does not stop a request under an older one; deactivating the policy does.
    if not policy.active and not Policy.objects.filter(code=policy.code, active=True).exists():
        return gettext("The policy {code} is switched off.").format(code=policy.code)
    if budget.available < intervention.amount:
        return gettext("The budget {code} has only {money} free.").format(
            code=budget.code, money=_money(budget, budget.available)
        )
    return ""


def _reserved_beside(intervention: Intervention) -> tuple[int, Decimal]:
    """Count interventions that have not ended only: the ledger of a busy budget is long."""
    kinds = BudgetEntry.Kind
    under_way = Intervention.objects.unsettled().filter(budget=intervention.budget_id)
    lines = BudgetEntry.objects.filter(
        intervention__in=under_way.exclude(pk=intervention.pk).values("pk")
    )
    ended = lines.filter(kind__in=[kinds.RELEASE, kinds.COMMIT]).values("intervention")
    found = (
        lines.filter(kind=kinds.RESERVE)
        .exclude(intervention__in=ended)
        .aggregate(number=Count("pk"), total=Sum("amount"))
    )
    return found["number"], found["total"] or Decimal(0)


def _waiting_beside(intervention: Intervention) -> tuple[int, Decimal]:
    found = (
        Intervention.objects.filter(
            budget=intervention.budget_id,
            status__in=[
                InterventionStatus.PENDING,
                InterventionStatus.AWAITING_APPROVAL,
                InterventionStatus.APPROVED,
            ],
        )
        .exclude(pk=intervention.pk)
        .aggregate(number=Count("pk"), total=Sum("amount"))
    )
    return found["number"], found["total"] or Decimal(0)


def _reservations(budget: Budget, number: int, total: Decimal) -> str:
    if not number:
        return gettext("none")
    text = ngettext("{number} reservation, {money}", "{number} reservations, {money}", number)
    return text.format(number=number, money=_money(budget, total))


def _requests(budget: Budget, number: int, total: Decimal) -> str:
    if not number:
        return gettext("none")
    text = ngettext("{number} request, {money}", "{number} requests, {money}", number)
    return text.format(number=number, money=_money(budget, total))


def _money(budget: Budget, amount: Decimal) -> str:
    return shown(amount, budget.currency)
