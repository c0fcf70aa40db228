"""The audit trail in the admin, read-only."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.audit import subject_types
from apps.audit.models import AuditCheck, AuditEntry, AuditSeal
from apps.common.identifiers import number_of, short
from apps.common.language import lazy as _
from apps.web.admin import ReadOnlyAdmin


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = (
        "at",
        "actor_label",
        "via",
        "action",
        "outcome",
        "code",
        "subject",
        "sealed",
    )
    list_display_links = ("at", "action")
    list_filter = ("outcome", ("at", admin.DateFieldListFilter))
    list_select_related = ("seal",)
    search_exact = ("actor_id", "action")
    search_help_text = _("An exact subject id, actor id (user:7) or action (approval.decide).")
    fields = (
        "at",
        ("actor_label", "actor_id", "via"),
        ("action", "outcome", "code"),
        ("subject_type", "subject_id"),
        "correlation_id",
        "body",
        "digest",
        "erased_at",
        "sealed",
    )
    readonly_fields = ("sealed", "body", "digest", "erased_at", "at")

    def searched_subjects(self) -> list[str]:
        """Those that the apps have registered."""
        return subject_types.registered()

    @admin.display(description=_("subject"))
    def subject(self, entry: AuditEntry) -> SafeString:
        """The subject's id, shortened; the entry and the tooltip show all of it."""
        name = entry.subject_id if len(entry.subject_id) < 13 else f"…{short(entry.subject_id)}"
        return format_html(
            '<span title="{}">{} {}</span>', entry.subject_id, entry.subject_type, name
        )

    @admin.display(description=_("sealed as"), ordering=None)
    def sealed(self, entry: AuditEntry) -> str:
        """The entry's place in the chain; empty until it is sealed."""
        seal = getattr(entry, "seal", None)
        return f"№ {seal.sequence}" if seal else gettext("not yet")


@admin.register(AuditSeal)
class AuditSealAdmin(ReadOnlyAdmin):
    list_display = ("sequence", "entry", "sealed_at", "hash")
    list_select_related = ("entry",)
    ordering = ("-sequence",)
    search_exact = ("hash",)
    search_help_text = _("A sequence number or a whole hash.")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[AuditSeal]", search_term: str
    ) -> "tuple[QuerySet[AuditSeal], bool]":
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(hash=term)
        if (number := number_of(term, digits=18)) is not None:
            found |= Q(pk=number)
        return queryset.filter(found), False


@admin.register(AuditCheck)
class AuditCheckAdmin(ReadOnlyAdmin):
    """How far the chain was verified while it grows."""

    list_display = ("sequence", "at", "whole_at", "problem_count", "broken_since")
    ordering = ("id",)
    search_exact = ("sequence",)
    search_help_text = _("A sequence number.")
