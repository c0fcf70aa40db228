"""Admin of payment events and of the quarantine: rows that only services write."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from apps.common.dates import moment_words
from apps.common.language import lazy as _
from apps.common.money import from_minor
from apps.payments.models import (
    BatchScores,
    InferenceBreaker,
    Intake,
    PaymentBatch,
    PaymentEvent,
    PaymentRule,
    QuarantineAttempt,
    QuarantinedEvent,
    QuarantineEdit,
    QuarantineGroup,
    QuarantineHour,
    ReplayItem,
    ReplayRun,
)
from apps.payments.rule_forms import FORMS, initial_of
from apps.payments.rule_preview import rule_preview
from apps.payments.rule_text import rule_in_words
from apps.payments.services.rules import rule_change
from apps.web.admin import ReadOnlyAdmin, Tool, acting, amount_text
from apps.web.admin_forms import ServiceFormAdmin
from apps.web.tones import words_of

#: Versions of a rule that its page lists.
MOST_VERSIONS = 20


@admin.register(PaymentEvent)
class PaymentEventAdmin(ReadOnlyAdmin):
    list_display = (
        "event_id",
        "status",
        "amount",
        "provider",
        "customer_id",
        "fraud_score",
        "ingested_at",
    )
    list_filter = ("status",)
    ordering = ("-ingested_at", "-id")
    search_exact = ("event_id", "customer_id")
    search_help_text = _("The exact id of an event or a customer.")

    @admin.display(description=_("amount"))
    def amount(self, event: PaymentEvent) -> str:
        """Return the amount by its currency's exponent."""
        return amount_text(from_minor(event.amount_cents, event.currency), event.currency)


@admin.register(Intake)
class IntakeAdmin(ReadOnlyAdmin):
    list_display = (
        "event_id",
        "came_from",
        "topic",
        "partition",
        "offset",
        "attempt",
        "twins",
        "taken_at",
        "admitted_at",
        "done_at",
        "stored",
    )
    exclude = ("raw", "key")
    ordering = ("-id",)
    search_exact = ("event_id",)
    search_help_text = _("The exact id of an event.")

    @admin.display(description=_("source"))
    def came_from(self, intake: Intake) -> str:
        """Return the source in words."""
        return words_of(intake.source)


@admin.register(PaymentBatch)
class PaymentBatchAdmin(ReadOnlyAdmin):
    list_display = ("workflow_id", "n", "state", "created_at", "settled_at")
    list_filter = ("state",)
    ordering = ("-created_at", "-id")


@admin.register(BatchScores)
class BatchScoresAdmin(ReadOnlyAdmin):
    list_display = ("batch", "step")
    list_filter = ("step",)
    ordering = ("-id",)


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "stage",
        "code",
        "field",
        "state",
        "attempt",
        "seen",
        "created_at",
    )
    list_filter = ("state",)
    exclude = ("raw", "key", "search_text")
    ordering = ("-created_at", "-id")
    search_exact = ("event_id", "id")
    search_help_text = _("The exact id of an event, or of its row in the quarantine.")


@admin.register(QuarantineGroup)
class QuarantineGroupAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "open",
        "replaying",
        "replayed",
        "discarded",
        "superseded",
        "retargeted",
        "first_at",
        "last_at",
    )
    ordering = ("-last_at", "-id")


@admin.register(QuarantineHour)
class QuarantineHourAdmin(ReadOnlyAdmin):
    list_display = ("group", "hour", "count")
    list_select_related = ("group",)
    ordering = ("group", "hour")


@admin.register(PaymentRule)
class PaymentRuleAdmin(ServiceFormAdmin):
    """Rules. Saving makes the next version, after a preview; the former ones are listed."""

    list_display = ("code", "in_words", "enabled", "version", "updated_at")
    ordering = ("id",)
    fields = (("code", "enabled"), "in_words", ("version", "updated_at"), "versions")
    readonly_fields = ("in_words", "versions")
    service_form_template = "admin/payment_rule_form.html"

    @admin.display(description=_("in words"))
    def in_words(self, rule: PaymentRule) -> str:
        """Return the parameters in a line."""
        return rule_in_words(rule.code, rule.parameters)

    @admin.display(description=_("versions"))
    def versions(self, rule: PaymentRule) -> SafeString:
        """Return the newest versions, a line each. The audit trail says who made them."""
        rows = rule.events.order_by("-pgh_id")[:MOST_VERSIONS]  # type: ignore[attr-defined]
        lines = [
            (
                row.version,
                moment_words(row.pgh_created_at),
                rule_in_words(row.code, row.parameters) if row.enabled else gettext("switched off"),
            )
            for row in rows
        ]
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{} · {} · {}</li>", lines))

    def tools(self, request: HttpRequest, pk: str | None) -> list[Tool]:
        row = self.get_object(request, pk) if pk else None
        return super().tools(request, pk) if row is not None and row.code in FORMS else []

    def form_of(self, row: PaymentRule | None) -> type[forms.Form]:
        if row is None or row.code not in FORMS:
            raise Http404
        return FORMS[row.code]

    def initial_of(self, row: PaymentRule) -> dict[str, Any]:
        return initial_of(row)

    def preview(self, request: HttpRequest, data: dict[str, Any]) -> dict[str, Any] | None:
        """Return the preview, bound to the version that it was compared with: only that is
        saved."""
        row = PaymentRule.objects.get(code=data["code"])
        shown = rule_preview(row, data["parameters"], enabled=data["enabled"])
        wants_saving = "_preview" not in request.POST
        if wants_saving and request.POST.get("stamp") == shown.stamp:
            data["version"] = shown.version
            return None
        return {"preview": shown, "moved": wants_saving}

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        given = {name: data[name] for name in ("code", "parameters", "enabled", "version")}
        return rule_change(**given, by=acting(request), via="admin")


@admin.register(InferenceBreaker)
class InferenceBreakerAdmin(ReadOnlyAdmin):
    list_display = ("step", "failures", "open_until", "last_error")
    ordering = ("step",)


@admin.register(QuarantineAttempt)
class QuarantineAttemptAdmin(ReadOnlyAdmin):
    list_display = ("event", "number", "edit", "stage", "code", "field", "failed_at")
    list_select_related = ("event",)
    ordering = ("-id",)


@admin.register(QuarantineEdit)
class QuarantineEditAdmin(ReadOnlyAdmin):
    list_display = (
        "event",
        "number",
        "field_class",
        "status",
        "requested_by",
        "created_at",
        "settled_at",
    )
    list_filter = ("status",)
    list_select_related = ("event", "requested_by")
    exclude = ("raw",)
    ordering = ("-created_at", "-id")
    search_exact = ("id",)
    search_help_text = _("The exact id of an edit.")


@admin.register(ReplayRun)
class ReplayRunAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        "status",
        "total",
        "rate",
        "requested_by",
        "created_at",
        "settled_at",
        "error_code",
    )
    list_filter = ("status",)
    list_select_related = ("requested_by",)
    ordering = ("-created_at", "-id")
    search_exact = ("id",)
    search_help_text = _("The exact id of a replay.")


@admin.register(ReplayItem)
class ReplayItemAdmin(ReadOnlyAdmin):
    list_display = ("run", "number", "event", "edit", "status", "error_code", "settled_at")
    list_select_related = ("run", "event")
    list_filter = ("status",)
    ordering = ("-id",)
