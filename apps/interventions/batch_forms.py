"""Forms of the batches' pages. They clean input; the rules are in `services`."""

from typing import Any
from uuid import uuid4

from django import forms

from apps.interventions.contracts import BatchStatus
from apps.interventions.forms import InterventionForm
from apps.interventions.models import InterventionBatchQuerySet
from apps.web.filters import FilterForm

#: What is put back into the form after a check; a larger file is chosen once more.
MOST_TEXT = 1_000_000


class BatchFilter(FilterForm):
    """Filters of the list, as GET parameters."""

    status = forms.ChoiceField(
        required=False,
        choices=[
            ("", "every status"),
            (BatchStatus.PENDING.value, "waiting for approval"),
            *((s.value, s.value) for s in BatchStatus if s is not BatchStatus.PENDING),
        ],
    )
    mine = forms.BooleanField(required=False, label="Asked by me")

    def apply(self, queryset: InterventionBatchQuerySet, *, user_id: int) -> Any:
        """The rows that match; none when a filter is not valid."""
        if not self.is_valid():
            return queryset.none()
        if self.cleaned_data["status"]:
            queryset = queryset.filter(status=self.cleaned_data["status"])
        if self.cleaned_data["mine"]:
            queryset = queryset.filter(requested_by=user_id)
        return queryset


class BatchForm(forms.Form):
    """A file of CSV or JSON lines, or the same pasted. The currency is the policy's.

    `idempotency_key` is made with the empty form, so that the same form sent twice asks once.
    """

    policy = forms.ChoiceField(choices=InterventionForm.base_fields["policy"].choices)  # type: ignore[attr-defined]
    budget = forms.ChoiceField(choices=InterventionForm.base_fields["budget"].choices)  # type: ignore[attr-defined]
    title = forms.CharField(
        required=False, max_length=160, help_text="How you want to find it again; may be empty."
    )
    file = forms.FileField(
        required=False,
        label="CSV file",
        help_text="Separated by commas, semicolons or tabs, or JSON lines; UTF-8, at most 20,000 "
        "payments.",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.jsonl,text/csv"}),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label="Or paste it",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "mono"}),
        help_text="The first line names the columns: amount, target, justification and, if you "
        "want, region.",
    )
    idempotency_key = forms.CharField(
        max_length=120, widget=forms.HiddenInput, initial=lambda: f"page-{uuid4()}"
    )

    def clean(self) -> dict[str, Any]:
        """Something must be there; a file goes before what is pasted."""
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("file") and not (cleaned.get("text") or "").strip():
            self.add_error("text", "Choose a file, or paste the payments.")
        return cleaned
