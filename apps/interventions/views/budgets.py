"""Pages of budgets and their ledger."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.audit.doors import needs
from apps.audit.services import entry_record
from apps.common.csvio import FORMATS, export, in_parts
from apps.common.identifiers import number_of
from apps.common.money import exact
from apps.interventions.budget_forms import BudgetFilter, LedgerFilter
from apps.interventions.burndown import burn_down
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.services.periods import neighbours
from apps.interventions.services.policy_limits import site_day
from apps.interventions.services.transfers import REQUEST_TRANSFER
from apps.web.downloads import attachment
from apps.web.fragments import fragment, person, seen_with
from apps.web.lists import filtered_list

LEDGER_PAGE = 50
COLUMNS = ("line", "at", "kind", "amount", "currency", "intervention", "transfer")
VIEW = "interventions.view_budget"


@login_required
@needs(VIEW)
@require_GET
def budgets(request: HttpRequest) -> HttpResponse:
    """Every budget with what is spent, reserved and free."""
    return render(request, "interventions/budgets.html", _budgets(request))


@fragment
@require_GET
def budgets_live(request: HttpRequest) -> HttpResponse:
    """The bars as they are now."""
    seen_with(request, VIEW)
    return render(request, "interventions/_budgets_rows.html", _budgets(request))


def _budgets(request: HttpRequest) -> dict[str, Any]:
    form = BudgetFilter(request.GET)
    chosen = form.apply(Budget.objects.all(), today=site_day(timezone.now()))
    return filtered_list(request, form, chosen)


@login_required
@needs(VIEW)
@require_GET
def budget_page(request: HttpRequest, code: str) -> HttpResponse:
    """One budget with its burn-down and its ledger, newest line first."""
    context = _budget(request, code)
    budget = context["budget"]
    now = timezone.now()
    before, after = neighbours(budget)
    context |= {
        # Not live: it tells of days, and a busy budget changes many times a second.
        "chart": burn_down(budget, as_of=now),
        "open_today": budget.is_open_on(site_day(now)),
        "before": before,
        "after": after,
        "may_move": person(request).has_perm(REQUEST_TRANSFER),
    }
    return render(request, "interventions/budget.html", context)


@fragment
@require_GET
def budget_live(request: HttpRequest, code: str) -> HttpResponse:
    """The bar and the ledger as they are now."""
    seen_with(request, VIEW)
    return render(request, "interventions/_budget_live.html", _budget(request, code))


@login_required
@needs(VIEW)
@require_GET
def ledger_csv(request: HttpRequest, code: str) -> StreamingHttpResponse:
    """The lines that exist now and match the filter, newest first, as an attachment.

    Recorded before the first byte.
    """
    budget = get_object_or_404(Budget, code=code)
    form = LedgerFilter(request.GET)
    rows = form.apply(BudgetEntry.objects.filter(budget=budget))
    newest = rows.order_by("-pk").values_list("pk", flat=True).first() or 0
    with transaction.atomic(durable=True):
        entry_record(
            action="budget.ledger_export",
            subject_type="budget",
            subject_id=budget.code,
            by=person(request),
            via="page",
            body={"kind": request.GET.get("kind", "")[:20], "up_to_line": newest},
        )
    return attachment(
        request,
        export(_ledger(budget, rows.filter(pk__lte=newest)), COLUMNS),
        name=f"ledger-{budget.code}.csv",
        content_type=FORMATS["csv"],
    )


def _ledger(budget: Budget, rows: Any) -> Iterator[dict[str, Any]]:
    fields = ("pk", "at", "kind", "amount", "intervention_id", "transfer_id")
    newest_first = rows.order_by("-pk").values_list(*fields)

    def part(last: Any, most: int) -> list[Any]:
        following = newest_first if last is None else newest_first.filter(pk__lt=last[0])
        return list(following[:most])

    for pk, at, kind, amount, intervention, transfer in in_parts(part):
        text = exact(amount, budget.currency)
        values = (pk, at.isoformat(), kind, text, budget.currency, intervention, transfer)
        yield dict(zip(COLUMNS, values, strict=True))


def _budget(request: HttpRequest, code: str) -> dict[str, Any]:
    budget = get_object_or_404(Budget, code=code)
    form = LedgerFilter(request.GET)
    entries = form.apply(BudgetEntry.objects.filter(budget=budget))
    # Lines have a counter for an id: the place in the list is simply the last one shown.
    before = number_of(request.GET.get("before", ""), digits=18)
    if before is not None:
        entries = entries.filter(pk__lt=before)
    others = ("intervention", "transfer__source", "transfer__destination")
    lines = list(entries.select_related(*others).order_by("-pk")[: LEDGER_PAGE + 1])
    more = len(lines) > LEDGER_PAGE
    lines = lines[:LEDGER_PAGE]
    user = person(request)
    return {
        "budget": budget,
        "form": form,
        "filtered": form.filtered,
        "address": form.address,
        "lines": lines,
        "next_before": lines[-1].pk if more else None,
        "later_page": before is not None,
        "sees_interventions": user.has_perm("interventions.view_intervention"),
        "sees_transfers": user.has_perm("interventions.view_budgettransfer"),
        "query": request.GET.urlencode(),
    }
