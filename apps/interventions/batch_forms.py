"""Forms of the batches' pages. They clean input; the services have the rules."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.interventions.contracts import BatchStatus
from apps.interventions.forms import InterventionForm
from apps.web.fields import KeyField, MineField, StatusField
from apps.web.filters import FilterForm, asked_by_me
from apps.web.table_form import TableForm


class BatchFilter(FilterForm):
    """Filters of the list of batches, as GET parameters."""

    lookups = {"status": "status", "mine": asked_by_me}

    status = StatusField(BatchStatus, label=_("Status"))
    mine = MineField()


class BatchForm(TableForm):
    """A batch's fields, with the payments as a table. The currency is the policy's."""

    policy = forms.ChoiceField(
        label=_("Policy"),
        choices=InterventionForm.base_fields["policy"].choices,  # type: ignore[attr-defined]
    )
    budget = forms.ChoiceField(
        label=_("Budget"),
        choices=InterventionForm.base_fields["budget"].choices,  # type: ignore[attr-defined]
    )
    title = forms.CharField(
        required=False,
        max_length=160,
        help_text=_("Optional. A name to find the batch by."),
        label=_("Title"),
    )
    idempotency_key = KeyField()
    field_order = ("policy", "budget", "title")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].help_text = gettext(
            "CSV, separated by commas, semicolons or tabs, or JSON lines; UTF-8; at "
            "most 20,000 payments."
        )
        self.fields["text"].help_text = gettext(
            "The first line names the columns: amount, target, justification and, if "
            "you want, region."
        )

    def most_bytes(self) -> int:
        """Return the limit of a batch."""
        return int(settings.BATCH_MAX_BYTES)
