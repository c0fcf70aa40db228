"""Forms of the batches' pages. They clean input; the rules are in `services`."""

from typing import Any

from django import forms

from apps.interventions.contracts import BatchStatus
from apps.interventions.forms import InterventionForm
from apps.web.fields import KeyField, MineField, StatusField
from apps.web.filters import FilterForm, asked_by_me

#: What is put back into the form after a check; a larger file is chosen once more.
MOST_TEXT = 1_000_000


class BatchFilter(FilterForm):
    """Filters of the list, as GET parameters."""

    lookups = {"status": "status", "mine": asked_by_me}

    status = StatusField(BatchStatus)
    mine = MineField()


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
    idempotency_key = KeyField()

    def clean(self) -> dict[str, Any]:
        """Something must be there; a file goes before what is pasted."""
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("file") and not (cleaned.get("text") or "").strip():
            self.add_error("text", "Choose a file, or paste the payments.")
        return cleaned
