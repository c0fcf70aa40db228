"""Pages of budgets and their ledger."""

from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from apps.identifiers import number_of
from apps.interventions.models import Budget, BudgetEntry
from apps.pages import fragment, listed, person

LEDGER_PAGE = 50


@login_required
@permission_required("interventions.view_budget", raise_exception=True)
@require_GET
def budgets(request: HttpRequest) -> HttpResponse:
    """Every budget with what is spent, reserved and free."""
    return render(request, "interventions/budgets.html", _budgets(request))


@fragment
@require_GET
def budgets_live(request: HttpRequest) -> HttpResponse:
    """The bars as they are now."""
    _may_see_budgets(request)
    return render(request, "interventions/_budgets_rows.html", _budgets(request))


def _budgets(request: HttpRequest) -> dict[str, Any]:
    found = listed(request, Budget.objects.all())
    return {
        "rows": found["items"],
        "next": found["next"],
        "later_page": bool(request.GET.get("cursor")),
        "query": request.GET.urlencode(),
    }


@login_required
@permission_required("interventions.view_budget", raise_exception=True)
@require_GET
def budget_page(request: HttpRequest, code: str) -> HttpResponse:
    """One budget with its ledger, newest line first."""
    return render(request, "interventions/budget.html", _budget(request, code))


@fragment
@require_GET
def budget_live(request: HttpRequest, code: str) -> HttpResponse:
    """The bar and the ledger as they are now."""
    _may_see_budgets(request)
    return render(request, "interventions/_budget_live.html", _budget(request, code))


def _may_see_budgets(request: HttpRequest) -> None:
    if not person(request).has_perm("interventions.view_budget"):
        raise Http404


def _budget(request: HttpRequest, code: str) -> dict[str, Any]:
    budget = get_object_or_404(Budget, code=code)
    entries = BudgetEntry.objects.filter(budget=budget).select_related("intervention")
    # Lines have a counter for an id: the place in the list is simply the last one shown.
    before = number_of(request.GET.get("before", ""), digits=18)
    if before is not None:
        entries = entries.filter(pk__lt=before)
    lines = list(entries.order_by("-pk")[: LEDGER_PAGE + 1])
    more = len(lines) > LEDGER_PAGE
    lines = lines[:LEDGER_PAGE]
    user = person(request)
    return {
        "budget": budget,
        "lines": lines,
        "next_before": lines[-1].pk if more else None,
        "later_page": bool(before),
        "sees_interventions": user.has_perm("interventions.view_intervention"),
        "query": request.GET.urlencode(),
    }
