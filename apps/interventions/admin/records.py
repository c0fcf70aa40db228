"""Features and outcomes in the admin."""

from django.contrib import admin

from apps.interventions.models import FeatureValue, Outcome
from apps.web.admin import ReadOnlyAdmin


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
