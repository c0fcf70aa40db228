"""Forms of automations: the filters, the editor of a definition, and the run of an automation."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from django import forms

from apps.automations import texts
from apps.automations.contracts import MOST_BYTES, ExecutionStatus, Runner
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.windows import midnight
from apps.web.fields import CodeField, DayField, KeyField, MineField, StatusField
from apps.web.filters import FilterForm, asked_by_me

if TYPE_CHECKING:
    from apps.accounts.models import User

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


#: Days that every calendar of the site can name, also in another time zone.
EARLIEST, LATEST = date(2000, 1, 1), date(2200, 1, 1)


def _asked(comparison: str, *, days: int) -> "Callable[[Any, date, User], Any]":
    """Return a lookup: asked for before or after the midnight so many days after the given one."""

    def lookup(rows: Any, day: date, user: "User") -> Any:
        known = min(max(day, EARLIEST), LATEST) + timedelta(days=days)
        return rows.filter(**{f"created_at__{comparison}": midnight(known)})

    return lookup


class ExecutionFilter(FilterForm):
    """Filters of the list of executions."""

    lookups = {
        "status": "status",
        "automation": "definition__automation__code",
        "mine": asked_by_me,
        "runner": "runner",
        "error": "error_code",
        "since": _asked("gte", days=0),
        "until": _asked("lt", days=1),
    }
    more = ("runner", "error", "since", "until")

    status = StatusField(ExecutionStatus, label=_("Status"))
    automation = CodeField(label=_("Automation"))
    mine = MineField()
    runner = forms.ChoiceField(
        required=False, choices=[("", _("either")), *RUNNERS.items()], label=_("Run by")
    )
    error = forms.CharField(required=False, max_length=60, label=_("Error code"))
    since = DayField(required=False, label=_("Asked since"))
    until = DayField(required=False, label=_("Asked until"))


class JsonField(forms.CharField):
    """JSON, which stays as it was typed until it is read."""

    def __init__(self, *, rows: int = 24, **options: Any) -> None:
        attributes = {"spellcheck": "false", "autocomplete": "off", "class": "code-text"}
        widget = forms.Textarea(attrs={"rows": rows, **attributes})
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
    text = JsonField(label=_("Definition"))


class VersionForm(forms.Form):
    """The next version. `version`: the number of the newest when the form was opened."""

    text = JsonField(label=_("Definition"))
    version = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)


class ParamsField(JsonField):
    """What a run is given: an object. Empty: one without members."""

    def clean(self, value: Any) -> dict[str, Any]:
        """Return the object. Raises ValidationError, which names the line that is no JSON."""
        text = super().clean(value)
        if not text.strip():
            return {}
        try:
            given = texts.document_in(text)
        except Invalid as refused:
            raise forms.ValidationError(refused.detail, code=refused.code) from None
        if not isinstance(given, dict):
            raise forms.ValidationError(
                _('This is no object. Write names with values, such as {"order": 7}.'),
                code="params_invalid",
            )
        return given


class RunForm(forms.Form):
    """A run of an automation."""

    params = ParamsField(
        rows=6,
        required=False,
        initial="{}",
        label=_("What it is given"),
        help_text=_("A JSON object. Expressions read it as params."),
    )
    idempotency_key = KeyField()


class RepeatForm(forms.Form):
    """Another run of an execution from one of its nodes."""

    idempotency_key = KeyField()
