"""The page that tells what interventions came to."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.common.errors import Invalid
from apps.common.windows import Window, window_of
from apps.interventions.outcome_forms import OutcomesFilter
from apps.interventions.services import analytics
from apps.interventions.services.analytics import By
from apps.web import charts
from apps.web.fragments import person

HEIGHT = 60


@login_required
@require_GET
def outcomes(request: HttpRequest) -> HttpResponse:
    """Of those that this person may see: counts, money, success and time, with a chart."""
    form = OutcomesFilter(request.GET)
    refused, values = "", {}
    if form.is_valid():
        values = form.cleaned_data
    else:
        refused = "Correct what is marked above; until then these are the last 30 days."
    try:
        first, last = _window(values)
    except Invalid as error:
        refused = f"{error.detail} Until it is corrected these are the last 30 days."
        first, last = _window({})
    user = person(request)
    by = By(values.get("by") or By.POLICY)
    if not refused:
        # The window that is meant, also where none was asked for.
        form = OutcomesFilter({"from": first.isoformat(), "to": last.isoformat(), "by": by})
    counts = analytics.bars(user=user, first=first, last=last)
    drawn = [
        charts.Value(one.count, one.marked, f"{one.begins}: {one.count} ended, {one.marked} failed")
        for one in counts
    ]
    return render(
        request,
        "interventions/outcomes.html",
        {
            "form": form,
            "refused": refused,
            "found": analytics.outcomes(user=user, first=first, last=last, by=by),
            "chart": charts.bars(drawn, height=HEIGHT),
            "unit": "month" if Window(first, last).monthly else "day",
        },
        status=422 if refused else 200,
    )


def _window(values: dict[str, Any]) -> Window:
    return window_of(first=values.get("from"), last=values.get("to"), as_of=timezone.now())
