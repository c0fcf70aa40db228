"""Admin of infractions and of the signals about them: read-only."""

from django.contrib import admin

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
    columns = ("transaction_id", "reporter_ispb", "counterparty_ispb", "due_at", "result")
    list_filter = ("status", "result", "situation")
    list_select_related = ("requested_by",)
    search_exact = ("id", "infraction_id", "directory_id", "transaction_id")
    search_help_text = _("An exact id, of the infraction, its payment or in the directory.")
    # Keys are personal data: pages show them masked.
    exclude = ("request_digest", "idempotency_key", "status", "key")


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
