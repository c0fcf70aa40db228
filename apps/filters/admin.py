"""Admin of saved filters. It only shows."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest

from apps.common.language import lazy as _
from apps.filters.models import SavedFilter
from apps.web import saved_filters
from apps.web.admin import ReadOnlyAdmin, acting

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Whoever reads the audit trail sees everybody's.
VIEW_OTHERS_PERMISSION = "audit.view_auditentry"


@admin.register(SavedFilter)
class SavedFilterAdmin(ReadOnlyAdmin):
    list_display = ("name", "listed", "owner", "shared", "query", "created_at")
    fields = ("name", "listed", "owner", "shared", "query", "created_at")
    readonly_fields = ("listed",)
    list_select_related = ("owner",)
    search_exact = ("name",)
    search_help_text = _("A filter's exact name.")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the user's own filters and shared ones; all of them for auditors."""
        rows, me = super().get_queryset(request), acting(request)
        if me.has_perm(VIEW_OTHERS_PERMISSION):
            return rows
        return rows.filter(Q(owner=me.pk) | Q(shared=True))

    @admin.display(description=_("list"))
    def listed(self, saved: SavedFilter) -> str:
        """Return the title of its list."""
        page = saved_filters.get(saved.page)
        return str(page.title) if page else saved.page
