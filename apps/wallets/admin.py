"""Riders, wallets and the ledger in the admin: read-only. Services write them."""

from django.contrib import admin

from apps.common.language import lazy as _
from apps.wallets.models import Account, Journal, JournalLine, Rider, Wallet, WalletAdjustment
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.web.admin_process import AskedAdmin


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
