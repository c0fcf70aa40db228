"""Policies, budgets and interventions in the admin."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.adminbase import ReadOnlyAdmin, ReadOnlyInline, acting, amount_text, link
from apps.adminverbs import Line, ServiceFormAdmin, confirmed_action
from apps.interventions import services
from apps.interventions.models import (
    Budget,
    BudgetEntry,
    FeatureValue,
    Intervention,
    InterventionStep,
    Outcome,
    Policy,
)
from apps.interventions.services.requests import CANCEL_PERMISSION
from apps.pages import temporal_url


class PolicyForm(forms.Form):
    """A policy's new version."""

    code = forms.SlugField(max_length=80)
    name = forms.CharField(max_length=160)
    currency = forms.CharField(max_length=3, help_text="Three letters; it never changes.")
    reversible = forms.BooleanField(
        required=False, help_text="An execution can be undone; if not, the money is gone."
    )
    max_amount = forms.DecimalField(
        required=False, max_digits=18, decimal_places=2, help_text="Empty: no limit."
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
        "max_amount",
        "active",
        "created_at",
    )
    list_filter = ("active", "reversible")
    ordering = ("code", "-version")
    search_exact = ("code", "name")
    search_help_text = "An exact code or name."
    service_form = PolicyForm
    new_label = "New policy"

    def initial_of(self, row: Policy) -> dict[str, Any]:
        return {name: getattr(row, name) for name in PolicyForm.base_fields}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        return services.policy_put(**data, by=acting(request), via="admin")


class BudgetEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "budget"
    verbose_name_plural = "ledger, the newest 50 lines"
    fields = ("kind", "amount", "intervention", "key", "at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("intervention")


class InterventionEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "intervention"
    verbose_name_plural = "ledger"
    fields = ("kind", "amount", "budget", "at")
    readonly_fields = fields
    order = "pk"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("budget")


class StepInline(ReadOnlyInline):
    model = InterventionStep
    fk_name = "intervention"
    fields = ("name", "status", "attempts", "detail", "started_at", "finished_at")
    readonly_fields = fields
    order = "pk"


class OutcomeInline(ReadOnlyInline):
    model = Outcome
    fk_name = "intervention"
    fields = ("status", "amount", "seconds", "at")
    readonly_fields = fields


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    """Budgets with the newest lines of their ledger. The saga moves the money, nobody here."""

    list_display = (
        "code",
        "name",
        "whole",
        "gone",
        "held",
        "free",
        "staff_page",
    )
    ordering = ("code",)
    search_exact = ("code", "name")
    search_help_text = "An exact code or name."
    readonly_fields = ("free", "staff_page")
    inlines = (BudgetEntryInline,)

    @admin.display(description="total")
    def whole(self, budget: Budget) -> str:
        return amount_text(budget.total, budget.currency)

    @admin.display(description="spent")
    def gone(self, budget: Budget) -> str:
        return amount_text(budget.spent, budget.currency)

    @admin.display(description="reserved")
    def held(self, budget: Budget) -> str:
        return amount_text(budget.reserved, budget.currency)

    @admin.display(description="free")
    def free(self, budget: Budget) -> str:
        return amount_text(budget.available, budget.currency)

    @admin.display(description="page")
    def staff_page(self, budget: Budget) -> SafeString | str:
        return link(reverse("budget", args=[budget.code]), "open")


@admin.register(Intervention)
class InterventionAdmin(ReadOnlyAdmin):
    """Interventions. Their workflow owns them; calling one off is the verb there is."""

    list_display = (
        "target",
        "status",
        "asked_amount",
        "error_code",
        "policy",
        "budget",
        "requested_by",
        "created_at",
        "settled_at",
        "staff_page",
        "temporal",
    )
    list_filter = ("status", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("policy", "budget", "requested_by")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "workflow_id")
    search_help_text = "An exact id, of the intervention or of its workflow."
    exclude = ("workflow_id", "request_digest")
    readonly_fields = ("temporal", "staff_page")
    inlines = (StepInline, InterventionEntryInline, OutcomeInline)
    actions = ("call_off",)

    @admin.display(description="amount", ordering=None)
    def asked_amount(self, intervention: Intervention) -> str:
        return amount_text(intervention.amount, intervention.currency)

    @admin.display(description="page")
    def staff_page(self, intervention: Intervention) -> SafeString | str:
        return link(reverse("intervention", args=[intervention.pk]), "open")

    @admin.display(description="workflow")
    def temporal(self, intervention: Intervention) -> SafeString | str:
        return link(temporal_url(intervention.workflow_id), "Temporal UI") or "–"

    def has_call_off_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CANCEL_PERMISSION)

    @admin.action(description="Call off…", permissions=["call_off"])
    def call_off(self, request: HttpRequest, queryset: "QuerySet[Intervention]") -> HttpResponse:
        """Cancel the chosen interventions."""

        def run(intervention: Intervention, reason: str, stamp: str) -> str:
            services.intervention_cancel(
                intervention_id=intervention.pk,
                by=acting(request),
                via="admin",
                reason=reason,
                as_of=timezone.now(),
            )
            return "Called off; what was reserved is free again."

        return confirmed_action(
            self,
            request,
            queryset,
            action="call_off",
            title="Call interventions off",
            explanation="Each ends at once: its request is closed and what was reserved is free "
            "again. It is too late for one whose executor has been called.",
            button="Call off",
            line=lambda row: Line(pk=str(row.pk), label=str(row), note=str(row.status)),
            run=run,
        )


@admin.register(BudgetEntry)
class BudgetEntryAdmin(ReadOnlyAdmin):
    list_display = ("id", "budget", "kind", "amount", "intervention", "at")
    list_filter = ("kind",)
    list_select_related = ("budget", "intervention")
    ordering = ("-id",)
    search_exact = ("key", "intervention")
    search_help_text = "The exact id of an intervention, or a line's key."
    raw_id_fields = ("intervention",)


@admin.register(InterventionStep)
class InterventionStepAdmin(ReadOnlyAdmin):
    list_display = ("intervention", "name", "status", "attempts", "started_at", "finished_at")
    list_filter = ("status", "name")
    list_select_related = ("intervention",)
    ordering = ("-id",)
    search_exact = ("intervention",)
    search_help_text = "The exact id of an intervention."
    raw_id_fields = ("intervention",)


@admin.register(FeatureValue)
class FeatureValueAdmin(ReadOnlyAdmin):
    list_display = ("entity", "name", "value", "at")
    ordering = ("-id",)
    search_exact = ("entity", "key")
    search_help_text = "An exact entity or key."


@admin.register(Outcome)
class OutcomeAdmin(ReadOnlyAdmin):
    list_display = ("intervention", "status", "amount", "seconds", "at")
    list_filter = ("status",)
    list_select_related = ("intervention",)
    ordering = ("-id",)
    search_exact = ("intervention",)
    search_help_text = "The exact id of an intervention."
    raw_id_fields = ("intervention",)
