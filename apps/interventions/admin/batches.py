"""Batches and their items in the admin."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.interventions import services
from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.services.batches_rows import progress_of
from apps.interventions.services.requests import CANCEL_PERMISSION
from apps.web.admin import ReadOnlyAdmin, acting, amount_text, link
from apps.web.admin_verbs import Line, confirmed_action
from apps.web.links import temporal_url

if TYPE_CHECKING:
    from django.db.models import QuerySet


@admin.register(InterventionBatch)
class InterventionBatchAdmin(ReadOnlyAdmin):
    """Batches. Their workflow owns them; pausing, resuming and cancelling are the verbs."""

    list_display = (
        "__str__",
        "status",
        "asked_amount",
        "total",
        "error_code",
        "policy",
        "budget",
        "requested_by",
        "created_at",
        "settled_at",
        "staff_page",
        "temporal",
    )
    list_filter = ("status", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("policy", "budget", "requested_by")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "workflow_id")
    search_help_text = "An exact id, of the batch or of its workflow."
    exclude = ("request_digest", "idempotency_key")
    readonly_fields = ("progress", "temporal", "staff_page")
    actions = ("pause", "resume", "cancel")

    @admin.display(description="amount", ordering=None)
    def asked_amount(self, batch: InterventionBatch) -> str:
        return amount_text(batch.amount, batch.currency)

    @admin.display(description="items")
    def progress(self, batch: InterventionBatch) -> str:
        found = progress_of(batch)
        return (
            f"{found.done} executed, {found.failed} failed, {found.running} under way, "
            f"{found.waiting} waiting, {found.cancelled} cancelled"
        )

    @admin.display(description="page")
    def staff_page(self, batch: InterventionBatch) -> SafeString | str:
        return link(reverse("batch", args=[batch.pk]), "open")

    @admin.display(description="workflow")
    def temporal(self, batch: InterventionBatch) -> SafeString | str:
        return link(temporal_url(batch.workflow_id), "Temporal UI") or "–"

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CANCEL_PERMISSION)

    @admin.action(description="Pause…", permissions=["act"])
    def pause(self, request: HttpRequest, queryset: "QuerySet[InterventionBatch]") -> HttpResponse:
        """Begin no further item of the chosen batches."""
        return self._confirmed(
            request,
            queryset,
            action="pause",
            title="Pause batches",
            explanation="What is under way ends; nothing further is begun until somebody resumes.",
            button="Pause",
            verb=services.batch_pause,
            said="Paused.",
        )

    @admin.action(description="Resume…", permissions=["act"])
    def resume(self, request: HttpRequest, queryset: "QuerySet[InterventionBatch]") -> HttpResponse:
        """Go on with the chosen batches."""
        return self._confirmed(
            request,
            queryset,
            action="resume",
            title="Resume batches",
            explanation="Each goes on with the payments that wait.",
            button="Resume",
            verb=services.batch_resume,
            said="It goes on.",
        )

    @admin.action(description="Cancel…", permissions=["act"])
    def cancel(self, request: HttpRequest, queryset: "QuerySet[InterventionBatch]") -> HttpResponse:
        """End the chosen batches."""
        return self._confirmed(
            request,
            queryset,
            action="cancel",
            title="Cancel batches",
            explanation="For good: what was paid stays paid, what is under way ends, the rest is "
            "never begun. A request for a signature is closed.",
            button="Cancel them",
            verb=services.batch_cancel,
            said="Cancelled.",
        )

    def _confirmed(
        self,
        request: HttpRequest,
        queryset: "QuerySet[InterventionBatch]",
        *,
        verb: Callable[..., Any],
        said: str,
        **words: Any,
    ) -> HttpResponse:
        def run(batch: InterventionBatch, reason: str, stamp: str) -> str:
            verb(
                batch_id=batch.pk,
                by=acting(request),
                via="admin",
                reason=reason,
                as_of=timezone.now(),
            )
            return said

        return confirmed_action(
            self,
            request,
            queryset,
            line=lambda row: Line(pk=str(row.pk), label=str(row), note=str(row.status)),
            run=run,
            **words,
        )


@admin.register(BatchItem)
class BatchItemAdmin(ReadOnlyAdmin):
    list_display = ("batch", "number", "status", "amount", "target", "error_code", "settled_at")
    list_filter = ("status",)
    list_select_related = ("batch",)
    ordering = ("-id",)
    search_exact = ("batch", "intervention")
    search_help_text = "The exact id of a batch or of an intervention."
    raw_id_fields = ("batch", "intervention")
