"""Admin of budgets, their ledger and transfers."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext

from apps.common.errors import Conflict
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.interventions.budget_forms import AllocateForm, BudgetOpenForm
from apps.interventions.models import Budget, BudgetEntry, BudgetTransfer
from apps.interventions.services import budgets
from apps.web.admin import ReadOnlyAdmin, ReadOnlyInline, acting, amount_text
from apps.web.admin_forms import FormPagesAdmin, form_page
from apps.web.admin_process import AskedAdmin


class BudgetEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "budget"
    verbose_name_plural = _("ledger, the newest 50 lines")
    currency = "budget.currency"
    fields = ("kind", "amount", "intervention", "transfer", "key", "at")
    related = ("budget", "intervention", "transfer")


def _opened(row: None, data: dict[str, Any]) -> list[str]:
    days = Budget(starts_on=data["starts_on"], ends_on=data["ends_on"]).period or gettext(
        "every day"
    )
    said = [gettext("It is for {days}.").format(days=days)]
    if data["series"]:
        said.append(gettext("It is a period of {series}.").format(series=data["series"]))
    return [
        gettext("{name} ({code}) is opened in {currency}, without money.").format(
            name=data["name"], code=data["code"], currency=data["currency"]
        ),
        " ".join(said),
    ]


def _allocated(budget: Budget, data: dict[str, Any]) -> list[str]:
    return [
        gettext("{amount_text} are added to {code}.").format(
            amount_text=amount_text(data["amount"], budget.currency), code=budget.code
        ),
        gettext("Its total becomes {amount_text}.").format(
            amount_text=amount_text(budget.total + data["amount"], budget.currency)
        ),
        gettext("It stands in the ledger for good; only a transfer takes it out again."),
    ]


@admin.register(Budget)
class BudgetAdmin(FormPagesAdmin):
    """Budgets with the newest lines of their ledger. Only the saga and signed transfers spend and
    move money; this page opens a budget and allocates money to it, each after a page that shows the
    effect."""

    page_name = "budget"
    page_key = "code"
    list_display = (
        "code",
        "name",
        "series",
        "starts_on",
        "ends_on",
        "total",
        "spent",
        "reserved",
        "free",
        "staff_page",
    )
    ordering = ("code",)
    search_exact = ("code", "name", "series")
    search_help_text = _("An exact code, name or series.")
    readonly_fields = ("free", "staff_page")
    inlines = (BudgetEntryInline,)

    @admin.display(description=_("free"))
    def free(self, budget: Budget) -> str:
        """Return what is available, in the budget's currency."""
        return amount_text(budget.available, budget.currency)

    @form_page(_("Open a budget"), form=BudgetOpenForm, lines=_opened, button=_("Open"))
    def open(self, request: HttpRequest, row: None, data: dict[str, Any]) -> Budget:
        """Open a budget, or a period of a series."""
        budget = budgets.budget_open(**data, by=acting(request), via="admin")
        # The service returns an existing budget unchanged; the page must not say "done" then.
        if (budget.name, budget.alert_percent) != (data["name"], data["alert_percent"]):
            raise Conflict(
                filled(
                    _("{code} is open already, as {name}. Nothing was changed."),
                    code=budget.code,
                    name=budget.name,
                ),
                code="code_taken",
            )
        return budget

    @form_page(
        _("Allocate money"),
        form=AllocateForm,
        lines=_allocated,
        button=_("Allocate"),
        title=_("Allocate money to {row.name}"),
        of_row=True,
    )
    def allocate(self, request: HttpRequest, budget: Budget, data: dict[str, Any]) -> Budget:
        """Allocate money to a budget."""
        budgets.budget_allocate(**data, code=budget.code, by=acting(request), via="admin")
        return budget


@admin.register(BudgetEntry)
class BudgetEntryAdmin(ReadOnlyAdmin):
    currency = "budget.currency"
    list_display = ("id", "budget", "kind", "amount", "intervention", "transfer", "at")
    list_filter = ("kind",)
    list_select_related = ("budget", "intervention", "transfer")
    search_exact = ("key", "intervention", "transfer")
    search_help_text = _("The exact id of an intervention or a transfer, or a line's key.")


class TransferEntryInline(ReadOnlyInline):
    model = BudgetEntry
    fk_name = "transfer"
    verbose_name_plural = _("ledger")
    currency = "budget.currency"
    fields = ("kind", "amount", "budget", "at")
    related = ("budget",)
    order = "pk"


@admin.register(BudgetTransfer)
class BudgetTransferAdmin(AskedAdmin):
    """Transfers. They are decided by a signature in the inbox, never here."""

    page_name = "transfer"
    columns = ("source", "destination")
    list_select_related = ("source", "destination", "requested_by")
    inlines = (TransferEntryInline,)
