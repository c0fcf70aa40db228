"""Pages of budgets and their ledger."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.audit.doors import needs
from apps.audit.services import entry_record
from apps.common.csvio import FORMATS, export, in_parts
from apps.common.money import NO_BREAK, exact, shown
from apps.common.windows import site_day
from apps.interventions.budget_forms import BudgetFilter, LedgerFilter
from apps.interventions.burndown import burn_down
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.services.periods import neighbours
from apps.interventions.services.transfers import REQUEST_TRANSFER
from apps.web.downloads import attachment
from apps.web.fragments import person
from apps.web.lists import ListPage, numbered
from apps.web.pages import DetailPage
from apps.web.pieces import Cell, Head, Line, Link, seen_by

COLUMNS = ("line", "at", "kind", "amount", "currency", "intervention", "transfer")
VIEW = "interventions.view_budget"
VIEW_INTERVENTIONS = "interventions.view_intervention"
VIEW_TRANSFERS = "interventions.view_budgettransfer"


def _line(budget: Budget) -> Line:
    return Line(
        title=budget.name,
        href=reverse("budget", args=[budget.code]),
        cells=(
            Cell("Code", budget.code),
            Cell("Total", shown(budget.total, budget.currency, blank=NO_BREAK), "total {}"),
            Cell("Period", budget.period),
            Cell("Series", budget.series, "period of {}"),
        ),
        amount=budget.available,
        currency=budget.currency,
        state="low" if budget.is_low else "",
        under="free",
        key=budget.pk,
        version=budget.version,
        row=budget,
    )


LIST_PAGE = ListPage(
    name="budgets",
    title="Budgets",
    lead="What was given, what is spent, what is reserved for running interventions.",
    noun="budget",
    topic="budgets",
    rows=lambda user: Budget.objects.all(),
    line=_line,
    below="interventions/_budget_row.html",
    filters=BudgetFilter,
    permission=VIEW,
    links=(
        Link("Transfers", "transfers"),
        Link("Move money", "transfer_new", REQUEST_TRANSFER, main=True),
    ),
    empty="A budget comes with its first allocation; whoever keeps the policies makes it.",
)


@login_required
@needs(VIEW)
@require_GET
def ledger_csv(request: HttpRequest, code: str) -> StreamingHttpResponse:
    """The lines that exist now and match the filter, newest first, as an attachment.

    Recorded before the first byte.
    """
    budget = get_object_or_404(Budget, code=code)
    form = LedgerFilter(request.GET)
    rows = form.matching(BudgetEntry.objects.filter(budget=budget), user=person(request))
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


def _context(request: HttpRequest, budget: Budget) -> dict[str, Any]:
    user = person(request)
    form = LedgerFilter(request.GET)
    others = ("intervention", "transfer__source", "transfer__destination")
    entries = form.matching(BudgetEntry.objects.filter(budget=budget), user=user)
    found = numbered(
        request, entries.select_related(*others), parameter="before", order="-pk", digits=18
    )
    return {
        "topics": f"budget:{budget.code}",
        "budget": budget,
        "filter": form,
        "lines": [_ledger_line(entry, budget, user) for entry in found["items"]],
        "next_before": found["next"],
        "later_page": found["later_page"],
    }


def _ledger_line(entry: BudgetEntry, budget: Budget, user: User) -> Line:
    """Who may not see what it was for reads that there is something, and not what."""
    title, href = "The budget itself", ""
    if (intervention := entry.intervention) is not None:
        title = "An intervention"
        if intervention.requested_by_id == user.pk or user.has_perm(VIEW_INTERVENTIONS):
            title, href = intervention.target, reverse("intervention", args=[intervention.pk])
    elif (transfer := entry.transfer) is not None:
        title = "A transfer"
        if transfer.requested_by_id == user.pk or user.has_perm(VIEW_TRANSFERS):
            gives = entry.kind == BudgetEntry.Kind.TRANSFER_OUT
            title = f"To {transfer.destination.code}" if gives else f"From {transfer.source.code}"
            href = reverse("transfer", args=[transfer.pk])
    return Line(
        title=title,
        href=href,
        cells=(Cell("When", entry.at, form="when"),),
        amount=entry.amount,
        currency=budget.currency,
        state=entry.kind,
    )


def _whole(request: HttpRequest, budget: Budget) -> dict[str, Any]:
    """What is not live: a busy budget changes many times a second."""
    now = timezone.now()
    before, after = neighbours(budget)
    lead = f"{budget.code} · total {shown(budget.total, budget.currency, blank=NO_BREAK)}"
    if budget.period:
        lead += f" · {budget.period}"
    if not budget.is_open_on(site_day(now)):
        lead += " · not open today"
    series = Link(budget.series, f"{reverse('budgets')}?series={budget.series}")
    links = (
        Link(
            "Move money",
            f"{reverse('transfer_new')}?from={budget.code}",
            REQUEST_TRANSFER,
            main=True,
        ),
        Link("Its transfers", f"{reverse('transfers')}?budget={budget.code}"),
        Link("Its interventions", f"{reverse('interventions')}?budget={budget.code}"),
    )
    return {
        "head": Head(
            budget.name,
            lead,
            crumbs=(Link("Budgets", "budgets"), *([series] if budget.series else [])),
            links=seen_by(links, person(request)),
        ),
        "chart": burn_down(budget, as_of=now),
        "before": before,
        "after": after,
    }


DETAIL_PAGE = DetailPage(
    name="budget",
    rows=lambda user: Budget.objects.all(),
    column="code",
    context=_context,
    permission=VIEW,
    main=("interventions/_budget_figures.html", "interventions/_budget_ledger.html"),
    template="interventions/budget.html",
    whole=_whole,
)
