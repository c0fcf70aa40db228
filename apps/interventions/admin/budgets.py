"""Budgets, their ledger and transfers in the admin."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from apps.common.errors import Conflict
from apps.interventions import services
from apps.interventions.budget_forms import AllocateForm, BudgetOpenForm
from apps.interventions.models import Budget, BudgetEntry, BudgetTransfer
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline, acting, amount_text, link
from apps.web.admin_verbs import shown_first

if TYPE_CHECKING:
    from django.db.models import QuerySet


class BudgetEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "budget"
    verbose_name_plural = "ledger, the newest 50 lines"
    fields = ("kind", "amount", "intervention", "transfer", "key", "at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("intervention", "transfer")


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    """Budgets with the newest lines of their ledger. The saga and signed transfers move the money;
    here a budget is opened and given its money, each after a page that says what will happen."""

    list_display = (
        "code",
        "name",
        "series",
        "starts_on",
        "ends_on",
        "whole",
        "gone",
        "held",
        "free",
        "staff_page",
    )
    ordering = ("code",)
    search_exact = ("code", "name", "series")
    search_help_text = "An exact code, name or series."
    readonly_fields = ("free", "staff_page")
    inlines = (BudgetEntryInline,)
    change_list_template = "admin/service_change_list.html"
    change_form_template = "admin/service_change_form.html"

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

    # --- verbs -----------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("open/", wrap(self.open_view), name="interventions_budget_open"),
            path(
                "<path:object_id>/allocate/",
                wrap(self.allocate_view),
                name="interventions_budget_allocate",
            ),
            *super().get_urls(),
        ]

    def open_view(self, request: HttpRequest) -> HttpResponse:
        """A new budget, or a new period of a series."""
        self.must_be_granted(request, "add")
        form = BudgetOpenForm(request.POST if request.method == "POST" else None)

        def run(data: dict[str, Any]) -> Budget:
            budget = services.budget_open(**data, by=acting(request), via="admin")
            # The service answers with the budget that is there; the page must not say "done".
            if (budget.name, budget.alert_percent) != (data["name"], data["alert_percent"]):
                raise Conflict(
                    f"{budget.code} is open already, as {budget.name}. Nothing was changed.",
                    code="code_taken",
                )
            return budget

        return shown_first(
            self,
            request,
            form,
            title="Open a budget",
            button="Open",
            lines=lambda data: [
                f"{data['name']} ({data['code']}) is opened in {data['currency']}, without money.",
                f"It is for {_days(data)}."
                + (f" It is a period of {data['series']}." if data["series"] else ""),
            ],
            run=run,
        )

    def allocate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """More money for a budget."""
        self.must_be_granted(request)
        budget = self.get_object(request, object_id)
        if budget is None:
            raise Http404
        form = AllocateForm(request.POST if request.method == "POST" else None)

        def run(data: dict[str, Any]) -> Budget:
            services.budget_allocate(**data, code=budget.code, by=acting(request), via="admin")
            return budget

        return shown_first(
            self,
            request,
            form,
            title=f"Allocate money to {budget.name}",
            button="Allocate",
            lines=lambda data: [
                f"{amount_text(data['amount'], budget.currency)} are added to {budget.code}.",
                f"Its total becomes {amount_text(budget.total + data['amount'], budget.currency)}.",
                "It stands in the ledger for good; only a transfer takes it out again.",
            ],
            run=run,
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may = self.granted(request, "add")
        extra = {
            "put_url": reverse("admin:interventions_budget_open") if may else "",
            "put_label": "Open a budget",
        }
        return super().changelist_view(request, {**extra, **(extra_context or {})})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        url = reverse("admin:interventions_budget_allocate", args=[object_id])
        extra = {"put_url": url if self.granted(request) else "", "put_label": "Allocate money"}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})


def _days(data: dict[str, Any]) -> str:
    return Budget(starts_on=data["starts_on"], ends_on=data["ends_on"]).period or "every day"


@admin.register(BudgetEntry)
class BudgetEntryAdmin(ReadOnlyAdmin):
    list_display = ("id", "budget", "kind", "amount", "intervention", "transfer", "at")
    list_filter = ("kind",)
    list_select_related = ("budget", "intervention", "transfer")
    ordering = ("-id",)
    search_exact = ("key", "intervention", "transfer")
    search_help_text = "The exact id of an intervention or a transfer, or a line's key."
    raw_id_fields = ("intervention", "transfer")


class TransferEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "transfer"
    verbose_name_plural = "ledger"
    fields = ("kind", "amount", "budget", "at")
    readonly_fields = fields
    order = "pk"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("budget")


@admin.register(BudgetTransfer)
class BudgetTransferAdmin(ReadOnlyAdmin):
    """Transfers. A signature in the inbox decides them, nobody here."""

    list_display = (
        "created_at",
        "source",
        "destination",
        "moved",
        "status",
        "error_code",
        "requested_by",
        "settled_at",
        "staff_page",
    )
    list_filter = ("status", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("source", "destination", "requested_by")
    ordering = ("-created_at", "-id")
    search_exact = ("id",)
    search_help_text = "An exact id."
    exclude = ("request_digest",)
    readonly_fields = ("staff_page",)
    inlines = (TransferEntryInline,)

    @admin.display(description="amount", ordering=None)
    def moved(self, transfer: BudgetTransfer) -> str:
        return amount_text(transfer.amount, transfer.currency)

    @admin.display(description="page")
    def staff_page(self, transfer: BudgetTransfer) -> SafeString | str:
        return link(reverse("transfer", args=[transfer.pk]), "open")
