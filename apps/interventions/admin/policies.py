"""Admin of policies and of the feature store."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.interventions.models import FeatureValue, Policy
from apps.interventions.services import policies
from apps.web.admin import ReadOnlyAdmin, acting
from apps.web.admin_forms import ServiceFormAdmin
from apps.web.admin_verbs import Given, Line, verb
from apps.web.fields import AmountField, DayField, RegionsField


class PolicyForm(forms.Form):
    """The fields of a policy's new version."""

    code = forms.SlugField(max_length=80, label=_("Code"))
    name = forms.CharField(max_length=160, label=_("Name"))
    currency = forms.CharField(
        max_length=3,
        help_text=_("Three letters, such as NGN. It cannot be changed later."),
        label=_("Currency"),
    )
    reversible = forms.BooleanField(
        required=False,
        help_text=_("Tick if an execution can be undone. If not, paid money is gone."),
        label=_("Reversible"),
    )
    min_amount = AmountField(
        required=False,
        label=_("Least amount"),
        help_text=_("The least that one request may ask for. Leave empty for no limit."),
    )
    max_amount = AmountField(
        required=False,
        label=_("Most of one request"),
        help_text=_("Empty: no limit."),
    )
    target_limit = AmountField(
        required=False,
        label=_("Most for one target"),
        help_text=_(
            "Reserved and spent together, within the days below. Leave empty for no limit."
        ),
    )
    target_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=3660,
        label=_("Within days"),
        help_text=_("How far back the limit of a target looks."),
    )
    valid_from = DayField(
        required=False,
        help_text=_("The first day. Leave empty for no beginning."),
        label=_("Valid from"),
    )
    valid_until = DayField(
        required=False, help_text=_("The last day. Leave empty for no end."), label=_("Valid until")
    )
    regions = RegionsField(
        required=False,
        max_length=3000,
        help_text=_(
            "ISO 3166 codes such as NG or NG-KO, with commas between them; a country "
            "covers its parts. Empty: everywhere."
        ),
        label=_("Regions"),
    )


def _line(policy: Policy, request: HttpRequest) -> Line:
    note = (
        gettext("It is active.")
        if policy.active
        else gettext("It is an older version, or off already.")
    )
    return Line(note, blocked=not policy.active)


@admin.register(Policy)
class PolicyAdmin(ServiceFormAdmin):
    """Policies, with their versions. Saving creates a new version; interventions keep theirs."""

    list_display = (
        "code",
        "version",
        "name",
        "currency",
        "reversible",
        "min_amount",
        "max_amount",
        "valid_until",
        "active",
        "staff_page",
    )
    list_filter = ("active", "reversible")
    ordering = ("code", "-version")
    search_exact = ("code", "name")
    search_help_text = _("An exact code or name.")
    service_form = PolicyForm
    new_label = _("New policy")
    page_name = "policy"
    page_key = "code"
    actions = ("switch_off",)

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        """Save the fields as the active version."""
        return policies.policy_put(**data, by=acting(request), via="admin")

    @verb(
        _("Switch off"),
        title=_("Switch policies off"),
        explanation=_(
            "Nobody can ask under a policy that is off, and what waits under it is "
            "not executed. What the executor was called for is carried on. A new "
            "version switches the policy on again."
        ),
        button=_("Switch off"),
        line=_line,
    )
    def switch_off(self, policy: Policy, given: Given) -> str:
        """Deactivate the policy."""
        policies.policy_switch_off(code=policy.code, version=policy.version, **given.asked)
        return gettext("Switched off: nobody can ask under it any more.")


@admin.register(FeatureValue)
class FeatureValueAdmin(ReadOnlyAdmin):
    list_display = ("entity", "name", "value", "at")
    search_exact = ("entity", "key")
    search_help_text = _("An exact entity or key.")
