"""Cards of interventions and budgets on the home page."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext

from apps.common.windows import Window, site_day
from apps.interventions.contracts import InterventionStatus
from apps.interventions.models import Budget, Intervention
from apps.interventions.services.analytics import OUTCOMES
from apps.web.dashboard import SHOWN, Amount, Figure, Today
from apps.web.lists import counted_each
from apps.web.pieces import Cell, Line, Link, rows_card
from apps.web.tones import words_of

if TYPE_CHECKING:
    from apps.accounts.models import User

#: Stop counting and adding what ended today here: the page of the outcomes has the exact figures.
MOST_TODAY = 10_000


def today(user: "User", as_of: datetime) -> Today:
    """Return what waits, what is carried out, and what ended today with the money that was paid, of
    all that the user may see."""
    rows = Intervention.objects.visible_to(user)
    listed = reverse("interventions")
    day = site_day(as_of)
    outcomes = reverse("outcomes") + f"?from={day}&to={day}"
    ended = OUTCOMES.ended(user=user, window=Window(day, day), most=MOST_TODAY)
    waiting = (InterventionStatus.AWAITING_APPROVAL, InterventionStatus.EXECUTING)
    counts = counted_each(*(rows.filter(status=status) for status in waiting))
    figures = [
        Figure(count, words_of(status), f"{listed}?status={status}")
        for count, status in zip(counts, waiting, strict=True)
    ]
    if ended is None:
        more = Figure(f"{MOST_TODAY:,}+", gettext("ended today"), outcomes)
        return Today([*figures, more])
    executed, failed = (
        ended.ends.get(status, 0)
        for status in (InterventionStatus.EXECUTED, InterventionStatus.FAILED)
    )
    return Today(
        [
            *figures,
            Figure(f"{executed:,}", gettext("executed today"), outcomes),
            Figure(f"{failed:,}", gettext("failed today"), outcomes, tone="bad" if failed else ""),
        ],
        amounts=[Amount(amount, currency) for currency, amount in sorted(ended.paid.items())],
    )


def budgets_card(user: "User", as_of: datetime) -> dict[str, Any]:
    """Return the card of budgets with little left."""
    lines = [
        Line(
            budget.name,
            reverse("budget", args=[budget.code]),
            (Cell(gettext("Share"), budget.alert_percent, gettext("less than {} % is free")),),
            budget.available,
            budget.currency,
        )
        for budget in low_budgets(as_of=as_of)[:SHOWN]
    ]
    link = Link(gettext("All of them"), reverse("budgets") + "?state=low")
    return rows_card("home-budgets", gettext("Little is left"), lines, link=link)


def failed(user: "User") -> "QuerySet[Intervention]":
    """Return the failed ones of the interventions that the user may see."""
    return Intervention.objects.visible_to(user).filter(status=InterventionStatus.FAILED)


def failed_list(code: str) -> str:
    """Return the URL of the list of those that failed with the code; without one, of all."""
    query = {"status": str(InterventionStatus.FAILED), **({"error": code} if code else {})}
    return f"{reverse('interventions')}?{urlencode(query)}"


def low_budgets(*, as_of: datetime) -> "QuerySet[Budget]":
    """Return budgets that are open today and have little left."""
    return Budget.objects.low().open_on(site_day(as_of)).order_by("name", "id")
