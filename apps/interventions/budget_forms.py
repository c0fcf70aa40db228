"""Forms of the pages of budgets and transfers. They clean input; the services have the rules."""

from django import forms
from django.utils import timezone

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.common.windows import site_day
from apps.interventions.contracts import TransferStatus
from apps.interventions.forms import budget_choices
from apps.interventions.models import BudgetEntry
from apps.interventions.models.budgets import BudgetQuerySet
from apps.web.fields import (
    AmountField,
    CodeField,
    DayField,
    KeyField,
    MineField,
    ProseField,
    StatusField,
)
from apps.web.filters import FilterForm, asked_by_me


def _in_state(rows: BudgetQuerySet, state: str, user: User) -> BudgetQuerySet:
    return rows.low() if state == "low" else rows.open_on(site_day(timezone.now()))


class BudgetFilter(FilterForm):
    """Filters of the list of budgets."""

    lookups = {"series": "series", "state": _in_state}

    series = CodeField(label=_("Series"))
    state = forms.ChoiceField(
        required=False,
        choices=[("", _("every state")), ("open", _("open today")), ("low", _("little is left"))],
        label=_("State"),
    )


class LedgerFilter(FilterForm):
    """Filters of a budget's ledger."""

    lookups = {"kind": "kind"}

    kind = forms.ChoiceField(
        required=False, choices=[("", _("every kind")), *BudgetEntry.Kind.choices], label=_("Kind")
    )


class TransferFilter(FilterForm):
    """Filters of the list of transfers; `budget`: those from or to it."""

    lookups = {
        "status": "status",
        "budget": lambda rows, code, user: rows.touching(code),
        "mine": asked_by_me,
    }

    status = StatusField(TransferStatus, label=_("Status"))
    budget = CodeField(label=_("Budget code"))
    mine = MineField()


class TransferForm(forms.Form):
    """A transfer's fields. The empty form creates `idempotency_key`, so that submitting it twice
    creates one transfer."""

    source = forms.ChoiceField(label=_("From"), choices=budget_choices)
    destination = forms.ChoiceField(label=_("To"), choices=budget_choices)
    amount = AmountField(help_text=_("In the currency of both budgets."), label=_("Amount"))
    reason = ProseField(rows=4, label=_("Reason"), help_text=_("The signer reads this first."))
    idempotency_key = KeyField()


class BudgetOpenForm(forms.Form):
    """Fields of a new budget, for the admin."""

    code = forms.SlugField(
        max_length=80,
        help_text=_("Lower-case letters, digits, - and _. It cannot be changed later."),
        label=_("Code"),
    )
    name = forms.CharField(max_length=160, label=_("Name"))
    currency = forms.CharField(
        max_length=3,
        help_text=_("Three letters, such as NGN. It cannot be changed later."),
        label=_("Currency"),
    )
    series = forms.SlugField(
        required=False,
        max_length=80,
        help_text=_("The series of budgets that this one is a period of, e.g. relief-north."),
        label=_("Series"),
    )
    starts_on = DayField(
        required=False, label=_("First day"), help_text=_("Leave empty for no beginning.")
    )
    ends_on = DayField(required=False, label=_("Last day"), help_text=_("Leave empty for no end."))
    alert_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        initial=10,
        label=_("Alert below (percent)"),
        help_text=_(
            "People are notified when less than this share is free. 0 turns the alert off."
        ),
    )


class AllocateForm(forms.Form):
    """Fields of an allocation, for the admin. With the key, submitting the form twice allocates
    once."""

    amount = AmountField(label=_("Amount"))
    reason = ProseField(
        help_text=_("Where the money comes from. The audit trail keeps it beside your name."),
        label=_("Reason"),
    )
    key = KeyField("admin")
