"""Batches and their items in the admin."""

from django.contrib import admin

from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.services import batches
from apps.interventions.services.batches_rows import BATCH, progress_of
from apps.interventions.services.requests import CANCEL_PERMISSION
from apps.web.admin import ReadOnlyAdmin
from apps.web.admin_process import ProcessAdmin
from apps.web.admin_verbs import Given, verb


@admin.register(InterventionBatch)
class InterventionBatchAdmin(ProcessAdmin):
    """Batches. Pausing, resuming and cancelling are the verbs."""

    process = BATCH
    columns = ("total", "policy", "budget")
    list_select_related = ("policy", "budget", "requested_by")
    readonly_fields = ("progress", *ProcessAdmin.readonly_fields)
    actions = ("pause", "resume", "cancel")

    @admin.display(description="items")
    def progress(self, batch: InterventionBatch) -> str:
        found = progress_of(batch)
        return (
            f"{found.done} executed, {found.failed} failed, {found.running} under way, "
            f"{found.waiting} waiting, {found.cancelled} cancelled"
        )

    @verb(
        "Pause",
        title="Pause batches",
        explanation="What is under way ends; nothing further is begun until somebody resumes.",
        button="Pause",
        permission=CANCEL_PERMISSION,
    )
    def pause(self, batch: InterventionBatch, given: Given) -> str:
        batches.batch_pause(batch_id=batch.pk, **given.asked_now)
        return "Paused."

    @verb(
        "Resume",
        title="Resume batches",
        explanation="Each goes on with the payments that wait.",
        button="Resume",
        permission=CANCEL_PERMISSION,
    )
    def resume(self, batch: InterventionBatch, given: Given) -> str:
        batches.batch_resume(batch_id=batch.pk, **given.asked_now)
        return "It goes on."

    @verb(
        "Cancel",
        title="Cancel batches",
        explanation="For good: what was paid stays paid, what is under way ends, the rest is "
        "never begun. A request for a signature is closed.",
        button="Cancel them",
        permission=CANCEL_PERMISSION,
    )
    def cancel(self, batch: InterventionBatch, given: Given) -> str:
        batches.batch_cancel(batch_id=batch.pk, **given.asked_now)
        return "Cancelled."


@admin.register(BatchItem)
class BatchItemAdmin(ReadOnlyAdmin):
    currency = "batch.currency"
    list_display = ("batch", "number", "status", "amount", "target", "error_code", "settled_at")
    list_filter = ("status",)
    list_select_related = ("batch",)
    search_exact = ("batch", "intervention")
    search_help_text = "The exact id of a batch or of an intervention."
