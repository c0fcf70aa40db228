"""Forms of the interventions' pages. They clean input; the services have the rules."""

from django import forms
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.common.money import shown
from apps.common.windows import site_day
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Budget, Policy
from apps.interventions.models.budgets import BudgetQuerySet
from apps.web.fields import (
    AmountField,
    CodeField,
    KeyField,
    MineField,
    ProseField,
    RegionField,
    StatusField,
)
from apps.web.filters import FilterForm, asked_by_me

#: With more choices than this, a form has a search instead of a select.
MOST_CHOICES = 200


class InterventionFilter(FilterForm):
    """Filters of the list of interventions."""

    lookups = {
        "status": "status",
        "budget": "budget__code",
        "policy": "policy__code",
        "region": lambda rows, region, user: rows.in_region(region),
        # The second condition is that of the index.
        "error": lambda rows, code, user: rows.filter(error_code=code).exclude(error_code=""),
        "mine": asked_by_me,
    }

    more = ("error",)

    status = StatusField(InterventionStatus, label=_("Status"))
    budget = CodeField(label=_("Budget code"))
    policy = CodeField(label=_("Policy code"))
    region = RegionField(label=_("Region"))
    error = CodeField(label=_("Error code"))
    mine = MineField()


def budget_choices(rows: BudgetQuerySet | None = None) -> list[tuple[str, str]]:
    """Return the choices of budgets, each with what is available in it; all budgets if `rows` is
    None."""
    rows = Budget.objects.all() if rows is None else rows
    return [
        (
            one.code,
            gettext("{name}: {amount} free").format(
                name=one.name, amount=shown(one.available, one.currency)
            ),
        )
        for one in rows.order_by("name", "pk")[:MOST_CHOICES]
    ]


class InterventionForm(forms.Form):
    """An intervention's fields. The currency is the policy's. The empty form creates
    `idempotency_key`, so that submitting it twice creates one intervention."""

    policy = forms.ChoiceField(
        choices=lambda: [
            (p.code, f"{p.name} ({p.currency})")
            for p in Policy.objects.filter(active=True).order_by("name")[:MOST_CHOICES]
        ],
        label=_("Policy"),
    )
    budget = forms.ChoiceField(
        choices=lambda: budget_choices(Budget.objects.open_on(site_day(timezone.now()))),
        label=_("Budget"),
    )
    amount = AmountField(label=_("Amount"))
    target = forms.CharField(
        max_length=200, label=_("Paid to"), help_text=_("Who or what receives the money.")
    )
    justification = ProseField(
        rows=5, max_length=5000, label=_("Reason"), help_text=_("The signer reads this first.")
    )
    region = forms.CharField(
        max_length=6,
        required=False,
        help_text=_(
            "Where it is paid, as an ISO 3166 code such as NG-KO. Some policies require it."
        ),
        label=_("Region"),
    )
    idempotency_key = KeyField()
