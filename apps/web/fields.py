"""Form fields that several apps share."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

from django import forms
from pydantic import Field

from apps.common.amounts import DIGITS
from apps.common.api import Region
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.money import MOST_PLACES
from apps.common.validation import LONGEST_KEY, LONGEST_REASON, clean_region
from apps.web.tones import words_of


class AmountField(forms.DecimalField):
    """An amount in major units; services check it against its currency."""

    def __init__(self, **options: Any) -> None:
        limits = {"max_digits": DIGITS, "decimal_places": MOST_PLACES, "min_value": 0}
        super().__init__(**{**limits, **options})


class DayField(forms.DateField):
    """A day, with the browser's date picker."""

    api_type = date
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class IdField(forms.UUIDField):
    """The id of a row."""

    api_type = UUID


class KeyField(forms.CharField):
    """An idempotency key, generated with the empty form: submitting the form twice asks once."""

    widget = forms.HiddenInput

    def __init__(self, prefix: str = "page", **options: Any) -> None:
        options = {"max_length": LONGEST_KEY, "initial": lambda: f"{prefix}-{uuid4()}", **options}
        super().__init__(**options)


class ProseField(forms.CharField):
    """A reason in sentences."""

    def __init__(self, *, rows: int = 3, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows})
        super().__init__(**{"max_length": LONGEST_REASON, "widget": widget, **options})


class RegionsField(forms.CharField):
    """ISO 3166 codes separated by commas or spaces, as a list."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return text.replace(",", " ").upper().split()

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


# --- for filters ----------------------------------------------------------------------------------
class StatusField(forms.ChoiceField):
    """One of the statuses, shown as its badge says it; empty: any, which `every` says."""

    def __init__(
        self, statuses: type[StrEnum], *, every: str = _("every status"), **options: Any
    ) -> None:
        self.api_type, self.every = statuses, every
        super().__init__(required=False, choices=self._choices, **options)

    def _choices(self) -> list[tuple[str, str]]:
        return [("", str(self.every)), *((s.value, words_of(s)) for s in self.api_type)]


class CodeField(forms.SlugField):
    """The code of the row to which the listed rows belong."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=80, **options)


class RegionField(forms.CharField):
    """A country including its subdivisions, or one subdivision; upper-cased as it is stored."""

    api_type = Annotated[Region, Field(description="A country covers its parts.")]

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"placeholder": _("NG or NG-KO")})
        super().__init__(required=False, max_length=6, widget=widget, **options)

    def clean(self, value: Any) -> str:
        """Return the code. Raises ValidationError `region_invalid` if it is not an ISO 3166
        code."""
        try:
            return clean_region(super().clean(value).upper())
        except Invalid as refusal:
            raise forms.ValidationError(refusal.detail, code=refusal.code) from refusal


class MineField(forms.BooleanField):
    """Only rows that the user asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "label": _("Asked by me"), **options})
