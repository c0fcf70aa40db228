"""Pages of payment events: the list, and the story of one from its offset to its row."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.common.language import lazy as _
from apps.common.money import from_minor, shown
from apps.engine.timeline import timeline
from apps.payments.contracts import EVENT, QUARANTINED, STATUSES, Scoring
from apps.payments.forms import EventFilter
from apps.payments.layout import place_of
from apps.payments.models import Intake, PaymentEvent, QuarantinedEvent
from apps.web.fragments import person
from apps.web.links import temporal_url_for
from apps.web.lists import ListPage
from apps.web.pages import DetailPage
from apps.web.pieces import Cell, Fact, Head, Line, Link, Note, rows_card
from apps.web.steps import ICONS, StepLine
from apps.web.tables import Column
from apps.web.tones import words_of

VIEW = "payments.view_paymentevent"
VIEW_QUARANTINE = "payments.view_quarantinedevent"
CRUMBS = (Link(_("Payments"), "payments"), Link(_("Events"), "payment_events"))
#: So many rows of the quarantine are listed in an event's story.
MOST_ROWS = 20


def amount_of(event: PaymentEvent) -> str:
    """Return the amount in its currency, by the currency's decimal places."""
    return shown(_major(event), event.currency)


def _major(event: PaymentEvent) -> Decimal:
    return from_minor(event.amount_cents, event.currency)


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _rows(user: User) -> Any:
    return PaymentEvent.objects.all()


LIST_PAGE = ListPage(
    name="payment_events",
    title=_("Payment events"),
    lead=_("Every event that was checked, scored and kept, the newest first."),
    noun="payment event",
    topic="payments",
    rows=_rows,
    to="payment_event",
    by="intake_id",
    version="pk",
    order="ingested",
    permission=VIEW,
    filters=EventFilter,
    columns=(
        Column(head=_("Event"), value="event_id", form="title", file="event_id"),
        Column(head=_("Status"), value="status", form="state"),
        Column(head=_("Provider"), value="provider", form="name", text=_("from {}")),
        Column(head=_("Customer"), value="customer_id", form="name", wide=True),
        Column(head=_("Amount"), value=_major, form="amount"),
        Column(
            head=_("Fraud"),
            value=lambda event: _score(event.fraud_score),
            form="count",
            text=_("fraud {}"),
            file="fraud_score",
        ),
        Column(
            head=_("Churn"),
            value=lambda event: _score(event.churn_score),
            form="count",
            text=_("churn {}"),
            file="churn_score",
            wide=True,
        ),
        Column(head=_("Kept"), value="ingested_at", form="age", file="ingested_at"),
    ),
    crumbs=CRUMBS[:1],
    none=_("No event yet"),
    first=_("Events come from the stream, or over the API."),
    empty=_("Events come from the stream, or over the API."),
)


# --- one event ------------------------------------------------------------------------------------
def _intakes(user: User) -> Any:
    return Intake.objects.select_related("event").defer("raw", "key")


def _context(request: HttpRequest, intake: Intake) -> dict[str, Any]:
    user = person(request)
    event: PaymentEvent | None = getattr(intake, "event", None)
    sees = user.has_perm(VIEW_QUARANTINE)
    rows = list(_quarantined(intake)) if sees else []
    return {
        "topics": "payments",
        "head": _head(intake, event, rows, user),
        "came": _came(intake),
        "facts": _facts(event) if event else [],
        "facts_title": gettext("What was kept"),
        "scores": _scores(event) if event else [],
        "steps": _steps(intake, event),
        "card": rows_card(
            "event-quarantine", gettext("In the quarantine"), [_line(row) for row in rows]
        ),
        "timeline": timeline(
            subjects=[
                (EVENT, str(intake.pk)),
                *((QUARANTINED, str(row.pk)) for row in rows[:5]),
            ],
            workflow_ids=[intake.event_id] if intake.admitted_at else [],
        ),
    }


def _quarantined(intake: Intake) -> Any:
    rows = QuarantinedEvent.objects.filter(event_id=intake.event_id)
    return rows.defer("raw", "key", "headers").order_by("-created_at", "-id")[:MOST_ROWS]


def _state(intake: Intake, rows: list[QuarantinedEvent]) -> str:
    if intake.stored:
        return "kept"
    if intake.done_at is not None:
        return rows[0].state if rows else "failed"
    return "running" if intake.admitted_at else "waiting"


def _head(
    intake: Intake, event: PaymentEvent | None, rows: list[QuarantinedEvent], user: User
) -> Head:
    engine = temporal_url_for(user, intake.event_id) if intake.admitted_at else ""
    note = None
    if not intake.stored and intake.done_at is not None:
        note = Note(
            gettext("The event is in the quarantine."),
            words_of(rows[0].code) if rows else "",
            gettext("It is kept as soon as somebody has edited or replayed it."),
        )
    return Head(
        intake.event_id,
        amount_of(event) if event else gettext("taken in"),
        at=intake.taken_at,
        crumbs=CRUMBS,
        state=_state(intake, rows),
        links=[Link(gettext("Temporal UI"), engine, outside=True)] if engine else [],
        note=note,
    )


def _came(intake: Intake) -> list[Fact]:
    facts = [
        Fact(gettext("Source"), words_of(intake.source), note=place_of(intake)),
        Fact(gettext("Taken in"), intake.taken_at, form="when"),
    ]
    if intake.sent_at:
        facts.append(Fact(gettext("Sent"), intake.sent_at, form="when"))
    if intake.twins:
        facts.append(Fact(gettext("Came again"), intake.twins, note=gettext("the same event")))
    return [
        *facts,
        Fact(gettext("Attempt"), intake.attempt),
        Fact(gettext("Digest"), intake.digest[:16], form="code"),
    ]


def _facts(event: PaymentEvent) -> list[Fact]:
    card = " ".join(
        filter(None, (event.card_brand, event.card_last_four and f"•{event.card_last_four}"))
    )
    found = [
        Fact(gettext("Amount"), amount_of(event)),
        Fact(gettext("Status"), words_of(event.status), note=event.event_type),
        Fact(gettext("Provider"), event.provider, note=event.provider_event_id),
        Fact(gettext("Customer"), event.customer_id),
        Fact(gettext("Merchant"), event.merchant_id),
        Fact(gettext("Paid by"), words_of(event.payment_method_type), note=card),
        Fact(gettext("Failure"), event.failure_code, note=event.failure_message),
        Fact(gettext("Created"), event.provider_created_at, form="when"),
    ]
    return [fact for fact in found if fact.value]


def _scores(event: PaymentEvent) -> list[Fact]:
    strategy = event.retry_strategy or {}
    found = [
        Fact(gettext("Fraud"), _score(event.fraud_score), note=event.risk_level),
        Fact(
            gettext("Retry"),
            strategy.get("action", ""),
            note=gettext("after {seconds} s, {attempts} times at most").format(
                seconds=event.retry_delay_seconds, attempts=strategy.get("max_attempts")
            ),
        ),
        Fact(
            gettext("Churn"),
            _score(event.churn_score),
            note=gettext("{level}, about {days} days").format(
                level=event.churn_risk_level, days=event.days_to_churn_estimate
            ),
        ),
    ]
    return [fact for fact in found if fact.value]


@dataclass(frozen=True)
class _Step:
    """A step of the way, as `web/_steps.html` shows its row."""

    finished_at: datetime | None
    detail: str = ""
    attempts: int = 1
    started_at: datetime | None = None


def _steps(intake: Intake, event: PaymentEvent | None) -> list[StepLine]:
    """Return the way of the event from its offset to its row."""
    failed = intake.done_at is not None and not intake.stored
    scoring = STATUSES.get(event.status, Scoring.NEITHER) if event else Scoring.NEITHER
    asked = {Scoring.FRAUD: gettext("fraud and churn"), Scoring.RETRY: gettext("retry and churn")}
    way = [
        ("taken_in", intake.taken_at, True, ""),
        ("admitted", intake.admitted_at, bool(intake.admitted_at), ""),
        (
            "scored",
            event.ingested_at if event else None,
            bool(event),
            asked.get(scoring, gettext("churn")),
        ),
        ("kept", event.ingested_at if event else None, bool(event), ""),
    ]
    lines = []
    for number, (name, at, done, detail) in enumerate(way, start=1):
        status = "done" if done else "failed" if failed else "pending"
        step = _Step(at, detail) if at else None
        lines.append(StepLine(number, name, status, ICONS.get(status, ""), step))
        if not done and failed:
            # What comes after the step that failed never begins.
            failed = False
    return lines


def _line(row: QuarantinedEvent) -> Line:
    return Line(
        words_of(row.code),
        href=reverse("quarantined_event", args=[row.pk]),
        cells=(Cell(gettext("Attempt"), row.attempt, gettext("attempt {}")),),
        state=row.state,
    )


DETAIL_PAGE = DetailPage(
    name="payment_event",
    rows=_intakes,
    context=_context,
    permission=VIEW,
    main=("web/_steps.html", "payments/_event_scores.html", "payments/_event_kept.html"),
    side=("payments/_event_came.html", "web/_rows_panel.html"),
    after=("console/_timeline.html",),
)
