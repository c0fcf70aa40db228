"""Admin of payment events and of the quarantine: rows that only services write."""

from django.contrib import admin

from apps.common.language import lazy as _
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
from apps.web.admin import ReadOnlyAdmin
from apps.web.tones import words_of


@admin.register(PaymentEvent)
class PaymentEventAdmin(ReadOnlyAdmin):
    list_display = (
        "event_id",
        "status",
        "amount_cents",
        "currency",
        "provider",
        "customer_id",
        "fraud_score",
        "ingested_at",
    )
    list_filter = ("status",)
    ordering = ("-ingested_at", "-id")
    search_exact = ("event_id", "customer_id")
    search_help_text = _("The exact id of an event or a customer.")


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
class PaymentRuleAdmin(ReadOnlyAdmin):
    list_display = ("code", "enabled", "version", "updated_at")
    ordering = ("id",)


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
