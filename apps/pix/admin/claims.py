"""Claims and their rulebooks in the admin: read-only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from apps.pix.models import Claim, ClaimRulebook
from apps.pix.services.claim_rows import PROCESS
from apps.web.admin import ReadOnlyAdmin
from apps.web.admin_process import ProcessAdmin


@admin.register(Claim)
class ClaimAdmin(ProcessAdmin):
    """Claims, which their workflows own."""

    process = PROCESS
    name = "claim_id"
    columns = ("claim_type", "claimer_ispb", "donor_ispb")
    list_select_related = ("requested_by",)
    # Keys and owners have a permission of their own, on the pages.
    exclude = (
        *ProcessAdmin.exclude,
        *("key", "tax_id", "name", "trade_name", "account_number"),
    )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Leave the amount out: a key has none."""
        return [one for one in super().get_list_display(request) if one != "amount"]


@admin.register(ClaimRulebook)
class ClaimRulebookAdmin(ReadOnlyAdmin):
    """Versions of rulebooks."""

    list_display = ("code", "number", "status", "requested_by", "created_at")
    list_filter = ("status",)
    list_select_related = ("requested_by",)
    ordering = ("-created_at", "-id")
    search_exact = ("digest",)
