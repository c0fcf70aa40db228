"""Forms of the interventions' pages. They clean input; the rules are in `services`."""

from typing import Any
from uuid import uuid4

from django import forms
from django.utils import timezone

from apps.common.amounts import AmountFormField
from apps.common.errors import Invalid
from apps.common.money import shown
from apps.common.validation import clean_region
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Budget, InterventionQuerySet, Policy
from apps.interventions.services.policy_limits import site_day
from apps.web.filters import FilterForm

#: A choice of more than this is a search, not a select.
MOST_CHOICES = 200


class InterventionFilter(FilterForm):
    """Filters of the list, as GET parameters."""

    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "every status"),
            *((s.value, s.replace("_", " ")) for s in InterventionStatus),
        ],
    )
    budget = forms.SlugField(required=False, max_length=80, label="Budget code")
    policy = forms.SlugField(required=False, max_length=80, label="Policy code")
    region = forms.CharField(
        required=False,
        max_length=6,
        widget=forms.TextInput(attrs={"placeholder": "NG or NG-KO"}),
    )
    mine = forms.BooleanField(required=False, label="Asked by me")

    def clean_region(self) -> str:
        """In capitals, as it is stored."""
        try:
            return clean_region(self.cleaned_data["region"].upper())
        except Invalid as refusal:
            raise forms.ValidationError(refusal.detail, code=refusal.code) from refusal

    def apply(self, queryset: InterventionQuerySet, *, user_id: int) -> InterventionQuerySet:
        """The rows that match; none when a filter is not valid."""
        if not self.is_valid():
            return queryset.none()
        values: dict[str, Any] = self.cleaned_data
        if values["status"]:
            queryset = queryset.filter(status=values["status"])
        if values["budget"]:
            queryset = queryset.filter(budget__code=values["budget"])
        if values["policy"]:
            queryset = queryset.filter(policy__code=values["policy"])
        if values["region"]:
            queryset = queryset.in_region(values["region"])
        if values["mine"]:
            queryset = queryset.filter(requested_by=user_id)
        return queryset


class InterventionForm(forms.Form):
    """What is asked for. The currency is the policy's. `idempotency_key` is made with the empty
    form, so that the same form sent twice asks once."""

    policy = forms.ChoiceField(
        choices=lambda: [
            (p.code, f"{p.name} ({p.currency})")
            for p in Policy.objects.filter(active=True).order_by("name")[:MOST_CHOICES]
        ]
    )
    budget = forms.ChoiceField(
        choices=lambda: [
            (b.code, f"{b.name}: {shown(b.available, b.currency)} free")
            for b in Budget.objects.open_on(site_day(timezone.now())).order_by("name")[
                :MOST_CHOICES
            ]
        ]
    )
    amount = AmountFormField(min_value=0)
    target = forms.CharField(
        max_length=200, label="Paid to", help_text="Who or what receives the money."
    )
    justification = forms.CharField(
        max_length=5000,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Whoever signs reads this first.",
    )
    region = forms.CharField(
        max_length=6,
        required=False,
        help_text="Where it is paid, as an ISO 3166 code such as NG-KO. Some policies want one.",
    )
    idempotency_key = forms.CharField(
        max_length=120, widget=forms.HiddenInput, initial=lambda: f"page-{uuid4()}"
    )


class CancelForm(forms.Form):
    """Why an intervention is called off."""

    reason = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))


class ReasonForm(forms.Form):
    """Why something is taken back, paused or resumed; it may be left empty."""

    reason = forms.CharField(
        required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )
