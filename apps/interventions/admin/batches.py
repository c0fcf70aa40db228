"""Admin of batches and their items."""

from django.contrib import admin

from apps.common.language import lazy as _
from apps.engine.run_admin import RunAdmin
from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.services.batches_rows import RUN
from apps.web.admin import ReadOnlyAdmin


@admin.register(InterventionBatch)
class InterventionBatchAdmin(RunAdmin):
    spec = RUN
    columns = ("total", "policy", "budget")
    list_select_related = ("policy", "budget", "requested_by")


@admin.register(BatchItem)
class BatchItemAdmin(ReadOnlyAdmin):
    currency = "batch.currency"
    list_display = ("batch", "number", "status", "amount", "target", "error_code", "settled_at")
    list_filter = ("status",)
    list_select_related = ("batch",)
    search_exact = ("batch", "intervention")
    search_help_text = _("The exact id of a batch or of an intervention.")
