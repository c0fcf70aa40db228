"""Pages of budgets and their ledger."""

from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.audit.doors import needs
from apps.audit.exports import recorded_export
from apps.common.language import lazy as _
from apps.common.money import NO_BREAK, exact, shown
from apps.common.windows import site_day
from apps.interventions.budget_forms import BudgetFilter, LedgerFilter
from apps.interventions.burndown import burn_down
from apps.interventions.models import Budget, BudgetEntry
from apps.interventions.services.periods import neighbours
from apps.interventions.services.transfers import REQUEST_TRANSFER
from apps.web.charts import AmountsBar
from apps.web.fragments import person
from apps.web.lists import ListPage, numbered
from apps.web.pages import DetailPage
from apps.web.pieces import Head, Link, seen_by
from apps.web.tables import Column, Table, table

COLUMNS = ("line", "at", "kind", "amount", "currency", "intervention", "transfer")
VIEW = "interventions.view_budget"
VIEW_INTERVENTIONS = "interventions.view_intervention"
VIEW_TRANSFERS = "interventions.view_budgettransfer"


def _bar(budget: Budget) -> AmountsBar:
    return AmountsBar(budget.code, budget.total, budget.spent, budget.reserved, budget.currency)


LIST_PAGE = ListPage(
    name="budgets",
    title=_("Budgets"),
    lead=_(
        "Allocated, spent and reserved money. Running interventions reserve it before they pay."
    ),
    noun="budget",
    none=_("No budget yet"),
    topic="budgets",
    rows=lambda user: Budget.objects.all(),
    to="budget",
    by="code",
    order="code",
    columns=(
        Column(head=_("Budget"), value="name", form="title", file="name"),
        Column(head=_("Code"), value="code", form="code", sort=("code", "code_last")),
        Column(head=_("Period"), value="period"),
        Column(head=_("Series"), value="series", form="aside", text=_("period of {}")),
        Column(
            head=_("Use"), value=_bar, form="bar", part="interventions/_budget_bar.html", file="-"
        ),
        Column(head=_("Total"), value="total", form="amount", text=_("total {}")),
        Column(head=_("Spent"), value="spent", form="amount", text=_("{} spent"), wide=True),
        Column(
            head=_("Reserved"), value="reserved", form="amount", text=_("{} reserved"), wide=True
        ),
        Column(head=_("Free"), value="available", form="amount", text=_("{} free")),
        Column(head=_("State"), value=lambda budget: "low" if budget.is_low else "", form="state"),
    ),
    arrivals=False,
    filters=BudgetFilter,
    permission=VIEW,
    links=(
        Link(_("Transfers"), "transfers"),
        Link(_("Move money"), "transfer_new", REQUEST_TRANSFER, main=True),
    ),
    empty=_("An administrator opens a budget with its first allocation."),
)


@login_required
@needs(VIEW)
@require_GET
def ledger_csv(request: HttpRequest, code: str) -> StreamingHttpResponse:
    """Return the lines that match the filter, through `recorded_export`."""
    budget = get_object_or_404(Budget, code=code)
    user, form = person(request), LedgerFilter(request.GET)
    return recorded_export(
        request,
        form.matching(BudgetEntry.objects.filter(budget=budget), user=user),
        COLUMNS,
        partial(_ledger_record, budget.currency),
        name=f"ledger-{budget.code}",
        by=user,
        via="page",
        action="budget.ledger_export",
        subject_type="budget",
        subject_id=budget.code,
        body={"kind": request.GET.get("kind", "")[:20]},
        up_to="up_to_line",
    )


def _ledger_record(currency: str, entry: BudgetEntry) -> dict[str, Any]:
    what, amount = (entry.pk, entry.at.isoformat(), entry.kind), exact(entry.amount, currency)
    values = (*what, amount, currency, entry.intervention_id, entry.transfer_id)
    return dict(zip(COLUMNS, values, strict=True))


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
        "bar": _bar(budget),
        "filter": form,
        "table": _ledger(request, found["items"], budget, user),
        "next_before": found["next"],
        "later_page": found["later_page"],
    }


def _ledger(request: HttpRequest, entries: list[BudgetEntry], budget: Budget, user: User) -> Table:
    """Return the table of these lines. It names interventions and transfers only to users who may
    see them."""
    about = {entry.pk: _about(entry, user) for entry in entries}
    return table(
        request,
        entries,
        (
            Column(head=_("For"), value=lambda entry: about[entry.pk][0], form="title"),
            Column(head=_("When"), value="at", form="when"),
            Column(head=_("Line"), value="kind", form="state"),
            Column(
                head=_("Amount"),
                value="amount",
                form="amount",
                currency=lambda entry: budget.currency,
            ),
        ),
        id="budget-ledger",
        caption=gettext("Ledger"),
        order="",
        default="",
        address="",
        to=lambda entry: about[entry.pk][1],
        # A line never changes.
        version="pk",
    )


def _about(entry: BudgetEntry, user: User) -> tuple[str, str]:
    """Return what the line is about, and its URL if the user may see it."""
    if (intervention := entry.intervention) is not None:
        if intervention.requested_by_id == user.pk or user.has_perm(VIEW_INTERVENTIONS):
            return intervention.target, reverse("intervention", args=[intervention.pk])
        return gettext("An intervention"), ""
    if (transfer := entry.transfer) is not None:
        if transfer.requested_by_id == user.pk or user.has_perm(VIEW_TRANSFERS):
            gives = entry.kind == BudgetEntry.Kind.TRANSFER_OUT
            title = (
                gettext("To {code}").format(code=transfer.destination.code)
                if gives
                else gettext("From {code}").format(code=transfer.source.code)
            )
            return title, reverse("transfer", args=[transfer.pk])
        return gettext("A transfer"), ""
    return gettext("The budget itself"), ""


def _whole(request: HttpRequest, budget: Budget) -> dict[str, Any]:
    """Return what is not live, because a busy budget changes many times a second."""
    now = timezone.now()
    before, after = neighbours(budget)
    lead = gettext("{code} · total {shown}").format(
        code=budget.code, shown=shown(budget.total, budget.currency, blank=NO_BREAK)
    )
    if budget.period:
        lead += f" · {budget.period}"
    if not budget.is_open_on(site_day(now)):
        lead += f" · {gettext('not open today')}"
    series = Link(budget.series, f"{reverse('budgets')}?series={budget.series}")
    links = (
        Link(
            gettext("Move money"),
            f"{reverse('transfer_new')}?from={budget.code}",
            REQUEST_TRANSFER,
            main=True,
        ),
        Link(gettext("Its transfers"), f"{reverse('transfers')}?budget={budget.code}"),
        Link(gettext("Its interventions"), f"{reverse('interventions')}?budget={budget.code}"),
    )
    return {
        "head": Head(
            budget.name,
            lead,
            crumbs=(Link(gettext("Budgets"), "budgets"), *([series] if budget.series else [])),
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
