"""Forms of business rules, one for each: numbers, and lists with an entry a line."""

from typing import Any

from django import forms

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.payments.models import PaymentRule
from apps.payments.rule_parameters import (
    INDISPENSABLE,
    MOST_AHEAD,
    REQUIRABLE,
    Parameters,
    parameters_checked,
)
from apps.payments.rules import REQUIRED

OPTIONAL = [name for name in REQUIRABLE if name not in REQUIRED]


class LinesField(forms.CharField):
    """A list of texts, one a line; empty lines do not count."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea(
            attrs={"rows": 14, "cols": 60, "spellcheck": "false", "class": "vLargeTextField mono"}
        )
        super().__init__(**{"required": False, "widget": widget, **options})

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        lines = (line.strip() for line in str(super().to_python(value)).splitlines())
        return [line for line in lines if line]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class RuleForm(forms.Form):
    """A rule's next version. The fields besides `enabled` are its parameters."""

    code = ""
    enabled = forms.BooleanField(
        required=False,
        label=_("In force"),
        help_text=_("Without the tick no event is checked by this rule."),
    )

    def parameters_of(self, data: dict[str, Any]) -> Parameters:
        """Return the parameters in the form's data."""
        return {name: data[name] for name in self.fields if name != "enabled"}

    def clean(self) -> dict[str, Any]:
        """Check the parameters as the service does, and show a refusal beside its field."""
        data = {**self.initial, **self.cleaned_data}
        if not self.errors:
            try:
                data["parameters"] = parameters_checked(self.code, self.parameters_of(data))
            except Invalid as refused:
                about = refused.extra.get("field")
                self.add_error(about if about in self.fields else None, refused.detail)
        return data


class RequiredFieldsForm(RuleForm):
    code = "required_fields"
    fields_besides = forms.MultipleChoiceField(
        required=False,
        choices=[(name, name) for name in OPTIONAL],
        widget=forms.CheckboxSelectMultiple,
        label=_("Required besides"),
        help_text=filled(_("Always required: {names}."), names=", ".join(REQUIRED)),
    )

    def parameters_of(self, data: dict[str, Any]) -> Parameters:
        return {"fields": [*REQUIRED, *data["fields_besides"]]}


class AmountBoundsForm(RuleForm):
    code = "amount_bounds"
    least = forms.IntegerField(
        label=_("Least"),
        help_text=_("In minor units of whatever currency: 1 is one cent, and one yen."),
    )
    most = forms.IntegerField(label=_("Most"))


class CurrencyAllowedForm(RuleForm):
    code = "currency_allowed"
    currencies = LinesField(
        label=_("Currencies"), help_text=_("ISO 4217 codes such as BRL, one a line.")
    )


class TimestampBoundsForm(RuleForm):
    code = "timestamp_bounds"
    ahead_seconds = forms.IntegerField(
        min_value=0,
        max_value=MOST_AHEAD,
        label=_("Seconds ahead"),
        help_text=_("How far a time of the event may lie in the future: clocks differ."),
    )


class MethodKnownForm(RuleForm):
    code = "method_known"
    methods = LinesField(label=_("Methods of payment"), help_text=_("One a line, as producers do."))


class CustomerBlocklistForm(RuleForm):
    code = "customer_blocklist"
    blocked = LinesField(label=_("Blocked customers"), help_text=_("Their exact ids, one a line."))


class MerchantBlocklistForm(RuleForm):
    code = "merchant_blocklist"
    blocked = LinesField(label=_("Blocked merchants"), help_text=_("Their exact ids, one a line."))


#: Rules without a form have nothing to change: they have no parameters and are always on.
FORMS: dict[str, type[RuleForm]] = {
    form.code: form
    for form in (
        RequiredFieldsForm,
        AmountBoundsForm,
        CurrencyAllowedForm,
        TimestampBoundsForm,
        MethodKnownForm,
        CustomerBlocklistForm,
        MerchantBlocklistForm,
    )
}
for _code in INDISPENSABLE & set(FORMS):
    del FORMS[_code].base_fields["enabled"]


def initial_of(row: PaymentRule) -> dict[str, Any]:
    """Return the initial values of the rule's form; `code` and `version` are not asked for."""
    shown = dict(row.parameters)
    if row.code == "required_fields":
        shown = {"fields_besides": [name for name in shown["fields"] if name in OPTIONAL]}
    enabled = row.enabled or row.code in INDISPENSABLE
    return {"code": row.code, "version": row.version, "enabled": enabled, **shown}
