"""Participants, keys and their changes in the admin: read-only, and masked. Services write them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.common.language import lazy as _
from apps.pix.contracts import KeyType, OwnerType
from apps.pix.keys import masked_key
from apps.pix.models import (
    DirectoryCall,
    DirectoryCursor,
    Entry,
    EntryChange,
    EntryChangeStep,
    Participant,
    PossessionCode,
)
from apps.pix.services.entry_rows import PROCESS, shown
from apps.web.admin import ReadOnlyAdmin
from apps.web.admin_process import ProcessAdmin


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    list_display = ("ispb", "name", "ours", "created_at")
    list_filter = ("ours",)
    ordering = ("ispb",)
    search_exact = ("ispb",)
    search_help_text = _("The exact ISPB of a participant.")


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    page_name = "entry"
    list_display = ("masked", "key_type", "participant", "status", "created_at", "staff_page")
    list_filter = ("status", "key_type")
    ordering = ("-created_at", "-id")
    exclude = ("key", "tax_id")
    readonly_fields = ("masked", "owners_tax_id", "staff_page")
    search_exact = ("id", "entry_id")
    search_help_text = _("The exact id of a key, never the key itself.")

    @admin.display(description=_("key"))
    def masked(self, entry: Entry) -> str:
        """Show the key as lists do."""
        return shown(entry) or "-"

    @admin.display(description=_("CPF or CNPJ"))
    def owners_tax_id(self, entry: Entry) -> str:
        """Show a person's masked."""
        if entry.owner_type == OwnerType.NATURAL_PERSON:
            return masked_key(KeyType.CPF, entry.tax_id)
        return entry.tax_id


@admin.register(EntryChange)
class EntryChangeAdmin(ProcessAdmin):
    process = PROCESS
    columns = ("kind", "reason")
    list_select_related = ("entry", "requested_by")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Leave the amount out: a key has none."""
        return [one for one in super().get_list_display(request) if one != "amount"]


@admin.register(EntryChangeStep)
class EntryChangeStepAdmin(ReadOnlyAdmin):
    list_display = ("change", "name", "status", "attempts", "started_at", "finished_at")
    list_filter = ("status", "name")
    list_select_related = ("change",)
    search_exact = ("change",)
    search_help_text = _("The exact id of a change.")


@admin.register(PossessionCode)
class PossessionCodeAdmin(ReadOnlyAdmin):
    list_display = ("change", "tries", "sent_at", "expires_at", "proved_at")
    list_select_related = ("change",)
    ordering = ("-id",)
    exclude = ("hashed",)
    search_exact = ("change",)
    search_help_text = _("The exact id of a change.")


@admin.register(DirectoryCall)
class DirectoryCallAdmin(ReadOnlyAdmin):
    """Calls to the directory. Their answers have keys in them."""

    list_display = ("key", "operation", "participant", "sent_at", "known_at")
    list_filter = ("operation",)
    ordering = ("-id",)
    exclude = ("answer",)
    search_exact = ("key",)
    search_help_text = _("The exact key of a call.")


@admin.register(DirectoryCursor)
class DirectoryCursorAdmin(ReadOnlyAdmin):
    list_display = ("participant", "resource", "read_until")
