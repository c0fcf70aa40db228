"""Automations in the admin: read-only, services write them."""

from django.contrib import admin

from apps.automations.models import Automation, AutomationVersion
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin


@admin.register(Automation)
class AutomationAdmin(ReadOnlyAdmin):
    list_display = ("code", "title", "runner", "enabled", "newest", "valid", "created_at")
    list_filter = ("enabled", "runner")
    ordering = ("-created_at", "-id")
    search_exact = ("code",)
    search_help_text = _("The exact code.")


@admin.register(AutomationVersion)
class AutomationVersionAdmin(ReadOnlyAdmin):
    list_display = ("automation", "number", "name", "nodes", "author", "created_at")
    list_select_related = ("automation", "author")
    ordering = ("-created_at", "-id")
    search_exact = ("digest",)
    search_help_text = _("The exact digest.")
