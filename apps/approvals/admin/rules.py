"""Admin of rules: a preview shows what a version means before the service creates it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.approvals import kinds, services
from apps.approvals.models import ApprovalRule
from apps.approvals.rule_preview import rule_preview, version_before
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.web.admin import acting, choice_filter
from apps.web.admin_forms import ReadableJSON, ReadableJSONField, ServiceFormAdmin
from apps.web.fields import AmountField

EXAMPLE = (
    '[{"above": "10000.00", "tiers": [{"group": "reviewer", "quorum": 1}], '
    '"due_hours": 16, "reminder_hours": [8], "escalation": {"hours": 24, '
    '"group": "senior reviewer"}, "expires_hours": 120}]'
)


def _kind_choices() -> list[tuple[str, str]]:
    return [(kind.name, kind.title) for kind in kinds.judged()]


class RuleForm(forms.Form):
    """The next version of a rule. The service checks the bands and names the wrong one."""

    kind = forms.ChoiceField(choices=_kind_choices, label=_("Kind"))
    scope = forms.CharField(
        max_length=80,
        required=False,
        help_text=_("For example a policy's code. Empty: all."),
        label=_("Scope"),
    )
    currency = forms.CharField(max_length=3, required=False, label=_("Currency"))
    bands = ReadableJSONField(
        initial=list,
        # An empty list is a valid rule: no amount needs a signature.
        required=False,
        widget=forms.Textarea(attrs={"rows": 16, "cols": 80, "class": "vLargeTextField mono"}),
        help_text=filled(
            _(
                "A list such as {example}; below the lowest band no signature is needed. "
                "Due, reminders and escalation count working hours, expiry hours by the "
                "clock. Every field is explained in docs/contracts/rules.md."
            ),
            example=EXAMPLE,
        ),
        label=_("Bands"),
    )
    amount = AmountField(
        required=False,
        label=_("Try an amount"),
        help_text=_("Only for the preview: which band it matches. Not saved."),
    )


class TrialForm(forms.Form):
    """The amount to test against an existing version."""

    amount = AmountField(required=False, label=_("Amount"))


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(ServiceFormAdmin):
    """Versions of rules. Saving creates a new version; open requests keep theirs."""

    list_display = ("kind", "scope", "version", "currency", "active", "put_by", "created_at")
    list_filter = ("active", choice_filter("kind", "kind", _kind_choices))
    list_select_related = ("put_by",)
    ordering = ("kind", "scope", "-version")
    search_exact = ("kind", "scope")
    search_help_text = _("An exact kind or scope.")
    fields = (
        ("kind", "scope"),
        ("version", "active"),
        "currency",
        "bands_text",
        ("put_by", "created_at"),
    )
    readonly_fields = ("bands_text", "created_at")
    service_form = RuleForm
    service_form_template = "admin/rule_form.html"
    change_form_template = "admin/rule_change_form.html"
    new_label = _("New rule")

    @admin.display(description=_("bands"))
    def bands_text(self, rule: ApprovalRule) -> SafeString:
        """Return the bands as the form shows them."""
        return format_html('<pre class="mono">{}</pre>', ReadableJSON().encode(rule.bands))

    def initial_of(self, row: ApprovalRule) -> dict[str, Any]:
        """Return the fields to prefill, without the test amount, which is never stored."""
        return {name: getattr(row, name) for name in RuleForm.base_fields if name != "amount"}

    def preview(self, request: HttpRequest, data: dict[str, Any]) -> dict[str, Any] | None:
        """Return the preview, bound to the version it was compared with: only that is saved."""
        services.rule_validate(data["bands"], currency=data["currency"])
        before = ApprovalRule.objects.filter(
            kind=data["kind"], scope=data["scope"], active=True
        ).first()
        shown = rule_preview(
            kind=data["kind"],
            scope=data["scope"],
            currency=data["currency"],
            bands=data["bands"],
            before=before,
            amount=data.get("amount"),
        )
        wants_saving = "_preview" not in request.POST
        if wants_saving and request.POST.get("stamp") == shown.stamp:
            return None
        return {"preview": shown, "unsaved": True, "moved": wants_saving}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        values = {name: value for name, value in data.items() if name != "amount"}
        with transaction.atomic():
            return services.rule_put(**values, by=acting(request), via="admin")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the version in words, and the band that the amount in `?amount=` matches."""
        extra: dict[str, Any] = {}
        rule = self.get_object(request, object_id)
        if rule is not None and self.has_view_permission(request, rule):
            form = TrialForm(request.GET)
            valid = form.is_valid()
            extra = {
                "preview": rule_preview(
                    **self.initial_of(rule),
                    before=version_before(rule),
                    amount=form.cleaned_data.get("amount") if valid else None,
                ),
                "tried": request.GET.get("amount", "")[:21],
                "try_error": "" if valid else gettext("That is not an amount such as 25000.00."),
            }
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})
