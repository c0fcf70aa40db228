"""Forms of automations: the filter, and the editor of a definition."""

from typing import Any

from django import forms

from apps.automations.contracts import MOST_BYTES, ExecutionStatus, Runner
from apps.common.language import lazy as _
from apps.web.fields import CodeField, MineField, StatusField
from apps.web.filters import FilterForm, asked_by_me

#: How a choice of what runs an automation is said.
RUNNERS = {Runner.ENGINE: _("the engine"), Runner.LOCAL: _("this site, without the engine")}


class AutomationFilter(FilterForm):
    lookups = {"code": "code__startswith", "enabled": "enabled"}

    code = CodeField(label=_("Code begins with"))
    enabled = forms.NullBooleanField(
        label=_("On or off"),
        required=False,
        widget=forms.Select(
            choices=[("", _("either")), ("true", _("switched on")), ("false", _("switched off"))]
        ),
    )


class ExecutionFilter(FilterForm):
    """Filters of the list of executions."""

    lookups = {
        "status": "status",
        "automation": "definition__automation__code",
        "runner": "runner",
        "mine": asked_by_me,
    }

    status = StatusField(ExecutionStatus, label=_("Status"))
    automation = CodeField(label=_("Automation"))
    runner = forms.ChoiceField(
        label=_("Run by"), required=False, choices=[("", _("either")), *RUNNERS.items()]
    )
    mine = MineField()


class DefinitionField(forms.CharField):
    """A definition as JSON. It stays as it was typed until it is read."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea(
            attrs={"rows": 24, "spellcheck": "false", "autocomplete": "off", "class": "code-text"}
        )
        # Characters may have several bytes; the service measures those.
        super().__init__(
            **{"max_length": 2 * MOST_BYTES, "widget": widget, "strip": False, **options}
        )


class NewAutomationForm(forms.Form):
    """A new automation with its first version."""

    code = forms.SlugField(
        label=_("Code"),
        max_length=80,
        help_text=_("Programs know it by this: small letters, digits, - and _."),
    )
    title = forms.CharField(label=_("Title"), max_length=200)
    runner = forms.ChoiceField(
        label=_("Run by"), choices=list(RUNNERS.items()), initial=Runner.ENGINE
    )
    text = DefinitionField(label=_("Definition"))


class VersionForm(forms.Form):
    """The next version. `version`: the number of the newest when the form was opened."""

    text = DefinitionField(label=_("Definition"))
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)
