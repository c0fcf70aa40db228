"""Admin of infractions and of the signals about them: read-only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.common.language import lazy as _
from apps.pix.models import Infraction, InfractionSignal
from apps.pix.services.infraction_rows import PROCESS
from apps.web.admin import ReadOnlyAdmin
from apps.web.admin_process import ProcessAdmin
from apps.web.tones import words_of


@admin.register(Infraction)
class InfractionAdmin(ProcessAdmin):
    process = PROCESS
    name = "infraction_id"
    columns = ("transaction_id",)
    list_filter = ("status", "result", "situation")
    list_select_related = ("requested_by",)
    search_exact = ("id", "infraction_id", "directory_id", "transaction_id")
    search_help_text = _("An exact id, of the infraction, its payment or in the directory.")
    # Keys are personal data: pages show them masked.
    exclude = ("request_digest", "idempotency_key", "status", "key")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Leave out who asked: most come from the directory."""
        return [one for one in super().get_list_display(request) if one != "requested_by"]


@admin.register(InfractionSignal)
class InfractionSignalAdmin(ReadOnlyAdmin):
    list_display = ("key", "infraction", "name", "decision", "what_became", "at")
    list_select_related = ("infraction",)
    ordering = ("-id",)
    search_exact = ("infraction",)
    search_help_text = _("The exact id of an infraction.")
    exclude = ("outcome",)
    readonly_fields = ("what_became",)

    @admin.display(description=_("what became of it"))
    def what_became(self, row: InfractionSignal) -> str:
        """Say the outcome."""
        return words_of(row.outcome)
