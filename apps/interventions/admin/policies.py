"""Policies in the admin."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.interventions import services
from apps.interventions.models import Policy
from apps.web.admin import acting, link
from apps.web.admin_verbs import Line, ServiceFormAdmin, confirmed_action

if TYPE_CHECKING:
    from django.db.models import QuerySet


class RegionsField(forms.CharField):
    """ISO 3166 codes with commas or blanks between them, as a list."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return text.replace(",", " ").upper().split()

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


class PolicyForm(forms.Form):
    """A policy's new version."""

    code = forms.SlugField(max_length=80)
    name = forms.CharField(max_length=160)
    currency = forms.CharField(max_length=3, help_text="Three letters; it never changes.")
    reversible = forms.BooleanField(
        required=False, help_text="An execution can be undone; if not, the money is gone."
    )
    min_amount = forms.DecimalField(
        required=False,
        max_digits=18,
        decimal_places=2,
        label="Least amount",
        help_text="Of one request. Empty: no limit.",
    )
    max_amount = forms.DecimalField(
        required=False,
        max_digits=18,
        decimal_places=2,
        label="Most of one request",
        help_text="Empty: no limit.",
    )
    target_limit = forms.DecimalField(
        required=False,
        max_digits=18,
        decimal_places=2,
        label="Most for one target",
        help_text="Reserved and spent together, within the days below. Empty: no limit.",
    )
    target_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=3660,
        label="Within days",
        help_text="How far back the limit of a target looks.",
    )
    valid_from = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="First day. Empty: always was.",
    )
    valid_until = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="Last day. Empty: no end.",
    )
    regions = RegionsField(
        required=False,
        max_length=3000,
        help_text="ISO 3166 codes such as NG or NG-KO, with commas between them; a country covers "
        "its parts. Empty: everywhere.",
    )


@admin.register(Policy)
class PolicyAdmin(ServiceFormAdmin):
    """Policies, version by version. Saving makes a new version; interventions keep theirs."""

    list_display = (
        "code",
        "version",
        "name",
        "currency",
        "reversible",
        "min_amount",
        "max_amount",
        "valid_from",
        "valid_until",
        "active",
        "created_at",
        "staff_page",
    )
    list_filter = ("active", "reversible")
    ordering = ("code", "-version")
    search_exact = ("code", "name")
    search_help_text = "An exact code or name."
    service_form = PolicyForm
    new_label = "New policy"
    actions = ("switch_off",)

    def initial_of(self, row: Policy) -> dict[str, Any]:
        return {name: getattr(row, name) for name in PolicyForm.base_fields}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        return services.policy_put(**data, by=acting(request), via="admin")

    @admin.display(description="page")
    def staff_page(self, policy: Policy) -> SafeString | str:
        return link(reverse("policy", args=[policy.code]), "open")

    def has_switch_off_permission(self, request: HttpRequest) -> bool:
        return self.granted(request)

    @admin.action(description="Switch off…", permissions=["switch_off"])
    def switch_off(self, request: HttpRequest, queryset: "QuerySet[Policy]") -> HttpResponse:
        """Switch the chosen policies off."""

        def run(policy: Policy, reason: str, stamp: str) -> str:
            services.policy_switch_off(
                code=policy.code,
                version=policy.version,
                by=acting(request),
                via="admin",
                reason=reason,
            )
            return "Switched off: nobody can ask under it any more."

        return confirmed_action(
            self,
            request,
            queryset,
            action="switch_off",
            title="Switch policies off",
            explanation="Nobody can ask under a policy that is off, and what waits under it is not "
            "executed. What the executor was called for is carried on. A new version switches the "
            "policy on again.",
            button="Switch off",
            line=lambda row: Line(
                pk=str(row.pk),
                label=str(row),
                note="active" if row.active else "an older version, or off already",
                blocked=not row.active,
            ),
            run=run,
        )
