"""The window and the grouping of the outcomes' page, as GET parameters."""

from typing import Any

from django import forms

from apps.interventions.services.analytics import By
from apps.web.fields import DayField
from apps.web.filters import FilterForm


class OutcomesFilter(FilterForm):
    """Empty: the last 30 days, by policy. The names are those of the API."""

    by = forms.ChoiceField(
        required=False, label="Told apart by", choices=[(by.value, by.value) for by in By]
    )
    to = DayField(required=False, label="To")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A keyword of the language cannot be an attribute of the class.
        first = DayField(required=False, label="From")
        self.fields = {"from": first, "to": self.fields["to"], "by": self.fields["by"]}
