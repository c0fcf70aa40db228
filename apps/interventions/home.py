"""Cards of interventions and budgets on the home page."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.urls import reverse

from apps.common.windows import site_day
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Budget, Intervention
from apps.web.dashboard import SHOWN, Figure
from apps.web.lists import counted
from apps.web.pieces import Cell, Line, Link, rows_card

if TYPE_CHECKING:
    from apps.accounts.models import User

FAILED_WINDOW = timedelta(days=7)


def failed_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the card of interventions that failed in the last week: the newest, and their
    number."""
    rows = failed(user, as_of=as_of)
    lines = [_failed_line(row) for row in rows[:SHOWN]]
    href, tone = reverse("interventions") + "?status=failed", "bad" if lines else ""
    figure = Figure(counted(rows), "failed in seven days", href, order=40, tone=tone)
    empty = "Nothing failed in the last seven days."
    link = Link("All of them", href)
    card = rows_card("home-failed", "Failed", lines, link=link, empty=empty)
    return {**card, "figure": figure}


def budgets_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the card of budgets with little left."""
    lines = [
        Line(
            budget.name,
            reverse("budget", args=[budget.code]),
            (Cell("Share", budget.alert_percent, "less than {} % is free"),),
            budget.available,
            budget.currency,
        )
        for budget in low_budgets(as_of=as_of)[:SHOWN]
    ]
    link = Link("All of them", reverse("budgets") + "?state=low")
    return rows_card("home-budgets", "Little is left", lines, link=link)


def failed(user: "User", *, as_of: datetime) -> "QuerySet[Intervention]":
    """Return the failed ones of the interventions that the user may see, requested in the last
    week."""
    return (
        Intervention.objects.visible_to(user)
        .filter(status=InterventionStatus.FAILED, created_at__gte=as_of - FAILED_WINDOW)
        .for_list()
        .order_by("-created_at", "-id")
    )


def low_budgets(*, as_of: datetime) -> "QuerySet[Budget]":
    """Return budgets that are open today and have little left."""
    return Budget.objects.low().open_on(site_day(as_of)).order_by("name", "id")


def _failed_line(row: Intervention) -> Line:
    return Line(
        row.target,
        reverse("intervention", args=[row.pk]),
        (Cell("Error", row.error_code, form="words"), Cell("Ended", row.settled_at, form="age")),
        row.amount,
        row.currency,
    )
