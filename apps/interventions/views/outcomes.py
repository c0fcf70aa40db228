"""The page that tells what interventions came to."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.common.errors import Invalid
from apps.interventions.outcome_forms import OutcomesFilter
from apps.interventions.services import analytics
from apps.interventions.services.analytics import By
from apps.web.fragments import person

WIDTH, HEIGHT = 480, 60


@dataclass(frozen=True)
class Drawn:
    """A bar in the coordinates of its drawing."""

    x: float
    width: float
    y: int
    height: int
    bad_y: int
    bad_height: int
    title: str


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
    bars = analytics.bars(user=user, first=first, last=last)
    return render(
        request,
        "interventions/outcomes.html",
        {
            "form": form,
            "refused": refused,
            "found": analytics.outcomes(user=user, first=first, last=last, by=by),
            "chart": _drawn(bars),
            "most": max(bar.count for bar in bars),
            "unit": "day" if len(bars) == (last - first).days + 1 else "month",
            "width": WIDTH,
            "height": HEIGHT,
        },
        status=422 if refused else 200,
    )


def _window(values: dict[str, Any]) -> tuple[Any, Any]:
    return analytics.window_of(
        first=values.get("from"), last=values.get("to"), as_of=timezone.now()
    )


def _drawn(bars: list[analytics.Bar]) -> list[Drawn]:
    most = max(bar.count for bar in bars)
    step = WIDTH / len(bars)
    gap = min(4.0, step / 4)
    return [
        Drawn(
            x=round(number * step + gap / 2, 2),
            width=round(step - gap, 2),
            y=HEIGHT - _scaled(bar.count, most),
            height=_scaled(bar.count, most),
            bad_y=HEIGHT - _scaled(bar.failed, most),
            bad_height=_scaled(bar.failed, most),
            title=f"{bar.day}: {bar.count} ended, {bar.failed} failed",
        )
        for number, bar in enumerate(bars)
    ]


def _scaled(count: int, most: int) -> int:
    # Two units at least: a day with one must not look like a day with none.
    return max(2, round(count * (HEIGHT - 4) / most)) if count and most else 0
