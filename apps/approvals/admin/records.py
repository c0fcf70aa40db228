"""Read-only admin of the records that belong to requests. Only services write these rows."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator

from apps.approvals.models import (
    BulkDecision,
    BulkItem,
    Comment,
    Delegation,
    Evidence,
    EvidenceContent,
)
from apps.approvals.models.bulk import VIEW_OTHERS_PERMISSION
from apps.approvals.services.bulk_rows import BULK
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin, acting
from apps.web.admin_process import ProcessAdmin


@admin.register(Delegation)
class DelegationAdmin(ReadOnlyAdmin):
    list_display = ("delegator", "delegate", "starts_at", "ends_at", "revoked_at", "created_at")
    list_select_related = ("delegator", "delegate")
    ordering = ("-created_at", "-id")
    search_exact = ("id", "delegator", "delegate")
    search_help_text = _("An exact id: of the delegation, or of either side.")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the delegations that the user gave or holds; all of them for auditors."""
        rows, me = super().get_queryset(request), acting(request)
        if me.has_perm(VIEW_OTHERS_PERMISSION):
            return rows
        return rows.filter(Q(delegator=me.pk) | Q(delegate=me.pk))


@admin.register(Evidence)
class EvidenceAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "content_type",
        "size",
        "scan",
        "uploaded_by",
        "created_at",
        "erased_at",
    )
    list_select_related = ("uploaded_by",)
    ordering = ("-created_at", "-id")
    search_exact = ("request", "sha256")
    search_help_text = _("The exact id of a request, or a digest.")


@admin.register(EvidenceContent)
class EvidenceContentAdmin(ReadOnlyAdmin):
    """Evidence whose content is still stored. Only the request's page serves the content."""

    list_display = ("evidence",)
    list_select_related = ("evidence",)
    ordering = ("-evidence_id",)
    search_exact = ("evidence",)
    search_help_text = _("The exact id of an evidence.")
    exclude = ("body",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Defer the content: the rows of one list page could hold half a gigabyte."""
        return super().get_queryset(request).defer("body")


@admin.register(Comment)
class CommentAdmin(ReadOnlyAdmin):
    list_display = ("request", "author", "excerpt", "created_at")
    list_select_related = ("request", "author")
    ordering = ("-created_at", "-id")
    search_exact = ("request",)
    search_help_text = _("The exact id of a request.")

    @admin.display(description=_("text"))
    def excerpt(self, comment: Comment) -> str:
        """Return the first 80 characters of the text."""
        return Truncator(comment.text).chars(80)


@admin.register(BulkDecision)
class BulkDecisionAdmin(ProcessAdmin):
    process = BULK
    columns = ("total", "done", "failed")
    list_filter = ("status", "verdict")
    list_select_related = ("requested_by",)
    search_exact = ("id", "idempotency_key", "workflow_id")
    search_help_text = _("An exact id, of the bulk decision or of its workflow, or a key.")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the user's own bulk decisions; all of them for auditors, as on the page."""
        return cast("Any", super().get_queryset(request)).visible_to(acting(request))


@admin.register(BulkItem)
class BulkItemAdmin(ReadOnlyAdmin):
    list_display = ("request", "bulk", "number", "status", "error_code", "settled_at")
    list_filter = ("status",)
    list_select_related = ("request", "bulk")
    search_exact = ("request", "bulk")
    search_help_text = _("The exact id of a request or of a bulk decision.")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the items of the user's own bulk decisions; all of them for auditors."""
        rows, me = super().get_queryset(request), acting(request)
        return (
            rows if me.has_perm(VIEW_OTHERS_PERMISSION) else rows.filter(bulk__requested_by=me.pk)
        )
