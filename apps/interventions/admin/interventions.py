"""Admin of interventions, their steps and their outcomes."""

from django.contrib import admin
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.interventions.models import BudgetEntry, Intervention, InterventionStep, Outcome
from apps.interventions.services import requests
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.services.requests import CANCEL_PERMISSION
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.web.admin_process import ProcessAdmin
from apps.web.admin_verbs import Given, verb


class InterventionEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "intervention"
    verbose_name_plural = _("ledger")
    currency = "budget.currency"
    fields = ("kind", "amount", "budget", "at")
    related = ("budget",)
    order = "pk"


class StepInline(ReadOnlyInline):
    model = InterventionStep
    fk_name = "intervention"
    fields = ("name", "status", "attempts", "detail", "started_at", "finished_at")
    order = "pk"


class OutcomeInline(ReadOnlyInline):
    model = Outcome
    fk_name = "intervention"
    currency = "intervention.currency"
    fields = ("status", "amount", "seconds", "at")


@admin.register(Intervention)
class InterventionAdmin(ProcessAdmin):
    """Interventions. The only action is to call one off."""

    process = INTERVENTION
    name = "target"
    columns = ("policy", "budget")
    list_select_related = ("policy", "budget", "requested_by")
    inlines = (StepInline, InterventionEntryInline, OutcomeInline)
    actions = ("call_off",)

    @verb(
        _("Call off"),
        title=_("Call interventions off"),
        explanation=_(
            "Each ends at once: its request is closed and what was reserved is free "
            "again. It is too late for one whose executor has been called."
        ),
        button=_("Call off"),
        permission=CANCEL_PERMISSION,
    )
    def call_off(self, intervention: Intervention, given: Given) -> str:
        """Cancel the intervention."""
        requests.intervention_cancel(intervention_id=intervention.pk, **given.asked_now)
        return gettext("Called off; what was reserved is free again.")


@admin.register(InterventionStep)
class InterventionStepAdmin(ReadOnlyAdmin):
    list_display = ("intervention", "name", "status", "attempts", "started_at", "finished_at")
    list_filter = ("status", "name")
    list_select_related = ("intervention",)
    search_exact = ("intervention",)
    search_help_text = _("The exact id of an intervention.")


@admin.register(Outcome)
class OutcomeAdmin(ReadOnlyAdmin):
    currency = "intervention.currency"
    list_display = ("intervention", "status", "amount", "seconds", "at")
    list_filter = ("status",)
    list_select_related = ("intervention",)
    search_exact = ("intervention",)
    search_help_text = _("The exact id of an intervention.")
