"""Riders, wallets and the ledger in the admin: read-only. Services write them."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from apps.common.language import lazy as _
from apps.wallets.models import (
    Account,
    Invoice,
    InvoiceContent,
    InvoiceCounter,
    Journal,
    JournalLine,
    PaymentReview,
    PaystackReference,
    ProviderTransaction,
    Rider,
    TopUp,
    TopUpStep,
    Wallet,
    WalletAdjustment,
    WebhookEvent,
)
from apps.wallets.services.topup_rows import PROCESS
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.web.admin_process import AskedAdmin, ProcessAdmin

if TYPE_CHECKING:
    from django.db.models import QuerySet


class LineInline(ReadOnlyInline):
    model = JournalLine
    fk_name = "journal"
    verbose_name_plural = _("lines: a debit is positive, a credit negative")
    currency = "journal.currency"
    fields = ("account", "amount")
    related = ("journal", "account")
    order = "pk"


@admin.register(Rider)
class RiderAdmin(ReadOnlyAdmin):
    page_name = "wallet"
    page_key = "user_id"
    list_display = ("user_id", "name", "email", "currency", "created_at", "staff_page")
    ordering = ("user_id",)
    readonly_fields = ("staff_page",)
    search_exact = ("user_id",)
    search_help_text = _("The exact id of a rider.")


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    page_name = "wallet"
    page_key = "user_id"
    list_display = ("__str__", "balance", "status", "created_at", "staff_page")
    list_filter = ("status",)
    list_select_related = ("rider",)
    ordering = ("-created_at", "-id")
    readonly_fields = ("staff_page",)


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ("code", "kind", "currency")
    list_filter = ("kind",)
    ordering = ("code",)
    search_exact = ("code",)
    search_help_text = _("The exact code of an account.")


@admin.register(Journal)
class JournalAdmin(ReadOnlyAdmin):
    page_name = "journal"
    list_display = (
        "key",
        "kind",
        "currency",
        "subject_type",
        "subject_id",
        "created_at",
        "staff_page",
    )
    list_filter = ("kind",)
    ordering = ("-created_at", "-id")
    readonly_fields = ("staff_page",)
    inlines = (LineInline,)
    search_exact = ("id", "key")
    search_help_text = _("The exact id or key of a journal.")


@admin.register(JournalLine)
class JournalLineAdmin(ReadOnlyAdmin):
    currency = "account.currency"
    list_display = ("id", "journal", "account", "amount")
    list_select_related = ("journal", "account")
    search_exact = ("journal", "id")
    search_help_text = _("The exact id of a journal or a line.")


@admin.register(WalletAdjustment)
class WalletAdjustmentAdmin(AskedAdmin):
    """Adjustments. They are decided by a signature in the inbox, never here."""

    page_name = "adjustment"
    columns = ("wallet",)
    list_select_related = ("wallet__rider", "requested_by")


class ReferenceInline(ReadOnlyInline):
    model = PaystackReference
    fields = ("reference", "status", "authorization_url", "created_at")
    order = "number"


@admin.register(TopUp)
class TopUpAdmin(ProcessAdmin):
    process = PROCESS
    columns = ("credited_at",)
    list_select_related = ("wallet__rider", "requested_by")
    inlines = (ReferenceInline,)


@admin.register(ProviderTransaction)
class ProviderTransactionAdmin(ReadOnlyAdmin):
    list_display = ("provider_id", "reference", "amount", "status", "paid_at", "created_at")
    list_filter = ("status",)
    ordering = ("-id",)
    search_exact = ("provider_id", "reference")
    search_help_text = _("The exact id or reference of a payment.")


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = ("event", "reference", "deliveries", "outcome", "created_at", "last_at")
    list_filter = ("outcome",)
    ordering = ("-created_at", "-id")
    exclude = ("body",)
    search_exact = ("reference",)
    search_help_text = _("The exact reference of a payment.")


@admin.register(PaymentReview)
class PaymentReviewAdmin(AskedAdmin):
    """Reviews of payments. They are decided by a signature in the inbox, never here."""

    page_name = "payment_review"
    columns = ("code", "reference")
    list_select_related = ("requested_by",)


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = ("number", "wallet", "amount", "receipt_at", "created_at")
    list_select_related = ("wallet__rider",)
    ordering = ("-created_at", "-id")
    search_exact = ("number",)
    search_help_text = _("The exact number of an invoice.")


@admin.register(TopUpStep)
class TopUpStepAdmin(ReadOnlyAdmin):
    list_display = ("top_up", "name", "status", "attempts", "started_at", "finished_at")
    list_filter = ("status", "name")
    list_select_related = ("top_up__wallet__rider",)
    search_exact = ("top_up",)
    search_help_text = _("The exact id of a top-up.")


@admin.register(PaystackReference)
class PaystackReferenceAdmin(ReadOnlyAdmin):
    list_display = ("reference", "top_up", "status", "created_at")
    list_filter = ("status",)
    list_select_related = ("top_up__wallet__rider",)
    ordering = ("-id",)
    search_exact = ("reference", "top_up")
    search_help_text = _("The exact reference, or id of a top-up.")


@admin.register(InvoiceCounter)
class InvoiceCounterAdmin(ReadOnlyAdmin):
    list_display = ("series", "year", "last")


@admin.register(InvoiceContent)
class InvoiceContentAdmin(ReadOnlyAdmin):
    """PDFs. The API serves the content."""

    list_display = ("invoice", "sha256", "created_at")
    list_select_related = ("invoice",)
    ordering = ("-invoice_id",)
    search_exact = ("invoice",)
    search_help_text = _("The exact id of an invoice.")
    exclude = ("body",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Defer the content: a page of the list does not show it."""
        return super().get_queryset(request).defer("body")
