"""Interventions and their steps in the admin."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.interventions import services
from apps.interventions.models import BudgetEntry, Intervention, InterventionStep, Outcome
from apps.interventions.services.requests import CANCEL_PERMISSION
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline, acting, amount_text, link
from apps.web.admin_verbs import Line, confirmed_action
from apps.web.links import temporal_url

if TYPE_CHECKING:
    from django.db.models import QuerySet


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


@admin.register(InterventionStep)
class InterventionStepAdmin(ReadOnlyAdmin):
    list_display = ("intervention", "name", "status", "attempts", "started_at", "finished_at")
    list_filter = ("status", "name")
    list_select_related = ("intervention",)
    ordering = ("-id",)
    search_exact = ("intervention",)
    search_help_text = "The exact id of an intervention."
    raw_id_fields = ("intervention",)
