"""Budgets and their ledger in the admin."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.adminbase import ReadOnlyAdmin, ReadOnlyInline, amount_text, link
from apps.interventions.models import Budget, BudgetEntry

if TYPE_CHECKING:
    from django.db.models import QuerySet


class BudgetEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "budget"
    verbose_name_plural = "ledger, the newest 50 lines"
    fields = ("kind", "amount", "intervention", "key", "at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("intervention")


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    """Budgets with the newest lines of their ledger. The saga moves the money, nobody here."""

    list_display = (
        "code",
        "name",
        "whole",
        "gone",
        "held",
        "free",
        "staff_page",
    )
    ordering = ("code",)
    search_exact = ("code", "name")
    search_help_text = "An exact code or name."
    readonly_fields = ("free", "staff_page")
    inlines = (BudgetEntryInline,)

    @admin.display(description="total")
    def whole(self, budget: Budget) -> str:
        return amount_text(budget.total, budget.currency)

    @admin.display(description="spent")
    def gone(self, budget: Budget) -> str:
        return amount_text(budget.spent, budget.currency)

    @admin.display(description="reserved")
    def held(self, budget: Budget) -> str:
        return amount_text(budget.reserved, budget.currency)

    @admin.display(description="free")
    def free(self, budget: Budget) -> str:
        return amount_text(budget.available, budget.currency)

    @admin.display(description="page")
    def staff_page(self, budget: Budget) -> SafeString | str:
        return link(reverse("budget", args=[budget.code]), "open")


@admin.register(BudgetEntry)
class BudgetEntryAdmin(ReadOnlyAdmin):
    list_display = ("id", "budget", "kind", "amount", "intervention", "at")
    list_filter = ("kind",)
    list_select_related = ("budget", "intervention")
    ordering = ("-id",)
    search_exact = ("key", "intervention")
    search_help_text = "The exact id of an intervention, or a line's key."
    raw_id_fields = ("intervention",)
