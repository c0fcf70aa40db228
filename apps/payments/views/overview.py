"""The overview of payments: volume, what waits, scores, the inference service, the stream's lag."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from apps.common.dates import hour_words
from apps.common.hours import last_day
from apps.engine import liveness
from apps.payments.home import open_count
from apps.payments.models import InferenceBreaker, Intake, PaymentEvent
from apps.payments.services.admission import free_slots
from apps.web.charts import BarChart, Value, bars
from apps.web.dashboard import Figure
from apps.web.fragments import let_in, seen_with
from apps.web.lists import bounded, counted_each
from apps.web.pieces import Head, Link

VIEW = "payments.view_paymentevent"
#: Scores and durations are those of the newest events: an exact mean of a large table is slow.
NEWEST = 1000
HEIGHT = 120
EVERY = 6


def page(request: HttpRequest) -> HttpResponse:
    """Show the overview."""
    let_in(request, VIEW)
    return render(request, "payments/overview.html", _context())


def live(request: HttpRequest) -> HttpResponse:
    """Show its current parts."""
    seen_with(request, VIEW)
    return render(request, "payments/_overview_live.html", _context())


# --- helpers --------------------------------------------------------------------------------------
def _context() -> dict[str, Any]:
    now = timezone.now()
    chart = _volume(now)
    newest = list(
        PaymentEvent.objects.order_by("-ingested_at", "-id")
        .select_related("intake")
        .only(
            *("fraud_score", "risk_level", "churn_score", "churn_risk_level", "ingested_at"),
            "intake__admitted_at",
        )[:NEWEST]
    )
    return {
        "head": Head(
            gettext("Payments"),
            gettext("Events from the stream to the table, and what keeps them."),
            links=[
                Link(gettext("All events"), "payment_events"),
                Link(gettext("The quarantine"), "quarantine"),
            ],
        ),
        "figures": _figures(now),
        "chart": chart,
        "chart_words": [
            gettext(
                "Kept in the last 24 hours: {total:,}; failed payments among them: {marked:,}."
            ).format(total=chart.total, marked=chart.marked)
        ],
        "risks": _shares(newest, "risk_level"),
        "churn": _shares(newest, "churn_risk_level"),
        "seconds": _seconds(newest),
        "steps": list(InferenceBreaker.objects.order_by("step")),
        "streams": _streams(),
        "now": now,
        "newest": len(newest),
    }


def _figures(now: datetime) -> list[Figure]:
    waiting, under_way, kept = counted_each(
        Intake.objects.filter(admitted_at=None, done_at=None),
        Intake.objects.filter(admitted_at__isnull=False, done_at=None),
        PaymentEvent.objects.filter(ingested_at__gte=now - timedelta(hours=1)),
    )
    quarantined = open_count()
    return [
        Figure(kept, gettext("kept in the last hour"), reverse("payment_events")),
        Figure(waiting, gettext("wait to be admitted"), tone="warn" if free_slots() <= 0 else ""),
        Figure(under_way, gettext("on their way")),
        Figure(
            bounded(quarantined),
            gettext("open in the quarantine"),
            reverse("quarantine"),
            tone="bad" if quarantined else "",
        ),
    ]


def _volume(now: datetime) -> BarChart:
    found = last_day(
        PaymentEvent.objects.all(),
        as_of=now,
        marked=Q(status__in=("failed", "declined")),
        column="ingested_at",
    )
    values = [
        Value(
            one.count,
            one.marked,
            gettext("{hour}: {count} kept, {marked} of them failed payments").format(
                hour=hour_words(one.begins), count=one.count, marked=one.marked
            ),
            one.begins,
            one.usual,
        )
        for one in found.hours
    ]
    axis = [found.hours[0].begins + timedelta(hours=hour) for hour in range(0, 25, EVERY)]
    return bars(values, height=HEIGHT, axis=axis)


def _shares(events: list[PaymentEvent], column: str) -> list[tuple[str, int, str]]:
    """Return each level with its number and its share in percent, the most frequent first."""
    counts = Counter(level for event in events if (level := getattr(event, column)))
    return [
        (level, count, f"{100 * count / counts.total():.0f}")
        for level, count in counts.most_common()
    ]


def _seconds(events: list[PaymentEvent]) -> dict[str, float] | None:
    """Return how long the newest events took from admission to the table."""
    taken = sorted(
        (event.ingested_at - event.intake.admitted_at).total_seconds()
        for event in events
        if event.intake.admitted_at and event.intake.admitted_at <= event.ingested_at
    )
    if not taken:
        return None
    return {
        "median": taken[len(taken) // 2],
        "p95": taken[min(len(taken) - 1, int(len(taken) * 0.95))],
    }


def _streams() -> list[dict[str, Any]]:
    """Return the consumers that beat, with what they have not read."""
    return [
        {"name": beat.name, "at": beat.beat_at, "lag": beat.detail.get("lag")}
        for beat in liveness.alive("consumer")
    ]
