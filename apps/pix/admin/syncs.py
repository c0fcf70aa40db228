"""Synchronisations in the admin: read-only, their workflows own them."""

from django.contrib import admin

from apps.common.language import lazy as _
from apps.pix.models import CidEvent, SyncDifference, SyncRun, SyncVerdict
from apps.pix.services.sync_rows import SYNC
from apps.web.admin import ReadOnlyAdmin
from apps.web.admin_process import ProcessAdmin


@admin.register(SyncRun)
class SyncRunAdmin(ProcessAdmin):
    process = SYNC
    name = "participant"
    columns = ("trigger", "phase")
    list_filter = ("status", "trigger", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("requested_by",)


@admin.register(SyncVerdict)
class SyncVerdictAdmin(ReadOnlyAdmin):
    list_display = ("id", "run", "key_type", "before", "after", "ours", "theirs", "verified_at")
    list_filter = ("key_type",)
    list_select_related = ("run",)
    exclude = ("log_seen",)
    ordering = ("-id",)
    search_exact = ("run",)
    search_help_text = _("The exact id of a synchronisation.")


@admin.register(SyncDifference)
class SyncDifferenceAdmin(ReadOnlyAdmin):
    list_display = ("id", "run", "key_type", "kind", "state", "why", "key", "settled_at")
    list_filter = ("state", "kind", "key_type")
    list_select_related = ("run",)
    exclude = ("cid", "ours")
    ordering = ("-id",)
    search_exact = ("id", "run")
    search_help_text = _("An exact id, of the difference or of its synchronisation.")


@admin.register(CidEvent)
class CidEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "participant", "key_type", "op", "entry", "at")
    list_filter = ("op", "key_type")
    exclude = ("cid",)
    ordering = ("-id",)
    search_exact = ("id",)
    search_help_text = _("An exact id.")
