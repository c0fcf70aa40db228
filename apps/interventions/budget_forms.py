"""Forms of the pages of budgets and transfers. They clean input; the rules are in `services`."""

from typing import Any
from uuid import uuid4

from django import forms

from apps.common.amounts import AmountFormField
from apps.common.money import shown
from apps.interventions.contracts import TransferStatus
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.models.budgets import BudgetQuerySet, TransferQuerySet
from apps.web.filters import FilterForm

#: A choice of more than this is a search, not a select.
MOST_CHOICES = 200


class BudgetFilter(FilterForm):
    """Filters of the list of budgets, as GET parameters."""

    series = forms.SlugField(required=False, max_length=80)
    state = forms.ChoiceField(
        required=False,
        choices=[("", "every state"), ("open", "open today"), ("low", "little is left")],
    )

    def apply(self, queryset: BudgetQuerySet, *, today: Any) -> BudgetQuerySet:
        """The rows that match; none when a filter is not valid."""
        if not self.is_valid():
            return queryset.none()
        values: dict[str, Any] = self.cleaned_data
        if values["series"]:
            queryset = queryset.filter(series=values["series"])
        if values["state"] == "open":
            queryset = queryset.open_on(today)
        if values["state"] == "low":
            queryset = queryset.low()
        return queryset


class LedgerFilter(FilterForm):
    """Filters of a budget's ledger."""

    kind = forms.ChoiceField(
        required=False,
        choices=[
            ("", "every kind"),
            *BudgetEntry.Kind.choices,
        ],
    )

    def apply(self, queryset: Any) -> Any:
        """The lines that match; none when the filter is not valid."""
        if not self.is_valid():
            return queryset.none()
        kind = self.cleaned_data["kind"]
        return queryset.filter(kind=kind) if kind else queryset


class TransferFilter(FilterForm):
    """Filters of the list of transfers."""

    status = forms.ChoiceField(
        required=False,
        choices=[("", "every status"), *((s.value, s.replace("_", " ")) for s in TransferStatus)],
    )
    budget = forms.SlugField(required=False, max_length=80, label="Budget code")
    mine = forms.BooleanField(required=False, label="Asked by me")

    def apply(self, queryset: TransferQuerySet, *, user_id: int) -> TransferQuerySet:
        """The rows that match; none when a filter is not valid."""
        if not self.is_valid():
            return queryset.none()
        values: dict[str, Any] = self.cleaned_data
        if values["status"]:
            queryset = queryset.filter(status=values["status"])
        if values["budget"]:
            queryset = queryset.touching(values["budget"])
        if values["mine"]:
            queryset = queryset.filter(requested_by=user_id)
        return queryset


def _choices() -> list[tuple[str, str]]:
    return [
        (one.code, f"{one.name}: {shown(one.available, one.currency)} free")
        for one in Budget.objects.order_by("name", "pk")[:MOST_CHOICES]
    ]


class TransferForm(forms.Form):
    """What is to be moved. `idempotency_key` is made with the empty form, so that the same form
    sent twice asks once."""

    source = forms.ChoiceField(label="From", choices=_choices)
    destination = forms.ChoiceField(label="To", choices=_choices)
    amount = AmountFormField(
        min_value=0,
        help_text="In the currency of both budgets.",
    )
    reason = forms.CharField(
        max_length=2000,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Whoever signs reads this first.",
    )
    idempotency_key = forms.CharField(
        max_length=120, widget=forms.HiddenInput, initial=lambda: f"page-{uuid4()}"
    )


class BudgetOpenForm(forms.Form):
    """A new budget, for the admin."""

    code = forms.SlugField(max_length=80, help_text="Small letters, digits, - and _; for good.")
    name = forms.CharField(max_length=160)
    currency = forms.CharField(max_length=3, help_text="Three letters; it never changes.")
    series = forms.SlugField(
        required=False, max_length=80, help_text="What it is a period of, e.g. relief-north."
    )
    starts_on = forms.DateField(
        required=False,
        label="First day",
        help_text="Empty: always was.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    ends_on = forms.DateField(
        required=False,
        label="Last day",
        help_text="Empty: no end.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    alert_percent = forms.IntegerField(
        min_value=0,
        max_value=100,
        initial=10,
        label="Tell below, in percent",
        help_text="People are told when less than this share of it is free; 0: never.",
    )


class AllocateForm(forms.Form):
    """Money for a budget, for the admin. The key makes the same form sent twice allocate once."""

    amount = AmountFormField(min_value=0)
    reason = forms.CharField(
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="Where the money comes from. Kept in the audit trail beside your name.",
    )
    key = forms.CharField(
        max_length=120, widget=forms.HiddenInput, initial=lambda: f"admin-{uuid4()}"
    )
