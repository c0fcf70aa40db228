"""API of payment events. Mounted at /api/v1/payment-events."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.audit.services import refusals
from apps.common.api import Cursor, Limit
from apps.common.errors import Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.payments.bodies import body_of, events_in
from apps.payments.contracts import EVENT, Outcome
from apps.payments.models import PaymentEvent
from apps.payments.reading import LONGEST_ID
from apps.payments.scopes import Scope
from apps.payments.services.intake import Taken, events_take
from apps.payments.services.messages import Message

router = Router(tags=["payments"])

VIEW = "payments.view_paymentevent"
SEND = "payments.send_paymentevent"
MOST_EVENTS = 1000
MOST_BYTES = 8 * 1024 * 1024
#: Content types of one event a line.
LINES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")


class TakenOut(Schema):
    """What became of one event. `code`, `field` and `detail` say why one is in the quarantine."""

    outcome: Outcome
    event_id: str | None
    code: str | None
    field: str | None
    detail: str | None


class TakenAll(Schema):
    """In the order of the events, and how many of each."""

    items: list[TakenOut]
    accepted: int
    twins: int
    quarantined: int


class EventOut(Schema):
    """A payment event with its scores. `amount_cents` is in whole minor units of the currency."""

    event_id: str
    provider: str
    provider_event_id: str
    event_type: str
    status: str
    currency: str
    amount_cents: int
    merchant_id: str
    customer_id: str
    payment_method_type: str
    card_brand: str
    card_last_four: str
    failure_code: str
    failure_message: str
    provider_created_at: datetime
    processed_at: datetime | None
    schema_version: int
    fraud_score: float | None
    risk_level: str
    retry_strategy: dict[str, Any] | None
    retry_delay_seconds: int | None
    churn_score: float | None
    churn_risk_level: str
    days_to_churn_estimate: int | None
    ingested_at: datetime


class EventPage(Schema):
    items: list[EventOut]
    next: str | None


@router.post("", response={202: TakenAll})
def payment_events_take(request: HttpRequest) -> Status[dict[str, Any]]:
    """Take payment events in: one object, an array, or one a line (`application/x-ndjson`), at most
    1,000 and 8 MB. Each has its own outcome: `accepted`; `twin`, the same event again;
    `quarantined`, with a code. The same body again writes nothing twice.

    Refusals: 403 `permission_denied`; 413 `too_large`; 422 `no_items`, `too_many_items`.
    """
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    _check_may(user)
    kind = request.content_type or ""
    events = events_in(body_of(request, most=MOST_BYTES), lines=kind.lower() in LINES)
    if not events:
        raise Invalid(_("Send at least one event."), code="no_items")
    if len(events) > MOST_EVENTS:
        raise Invalid(
            filled(_("Send at most {most} events."), most=MOST_EVENTS), code="too_many_items"
        )
    taken = events_take(
        [Message(raw, source="api", topic=user.get_username()[:250]) for raw in events]
    )
    counts = [one.outcome for one in taken]
    return Status(
        202,
        {
            "items": [_taken_out(one) for one in taken],
            "accepted": counts.count(Outcome.ACCEPTED),
            "twins": counts.count(Outcome.TWIN),
            "quarantined": counts.count(Outcome.QUARANTINED),
        },
    )


@router.get("", response=EventPage)
def payment_events_list(
    request: HttpRequest, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the events that are kept, the newest first."""
    require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    rows = PaymentEvent.objects.order_by("-ingested_at", "-id")
    return page(rows, cursor=cursor, limit=limit, order="ingested")


@router.get("/{path:event_id}", response=EventOut)
def payment_event_read(request: HttpRequest, event_id: str) -> PaymentEvent:
    """Return one event. Refusals: 404 `event_not_found`."""
    require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    usable = event_id.isascii() and event_id.isprintable() and len(event_id) <= LONGEST_ID
    row = PaymentEvent.objects.filter(event_id=event_id).first() if usable else None
    if row is None:
        raise NotFound(_("There is no such event."), code="event_not_found")
    return row


# --- helpers --------------------------------------------------------------------------------------
def _check_may(user: User) -> None:
    with refusals(action=f"{EVENT}.take", subject_type=EVENT, subject_id="", by=user, via="api"):
        if not user.has_perm(SEND):
            raise NotAllowed(_("You may not send payment events."), code="permission_denied")


def _taken_out(taken: Taken) -> dict[str, Any]:
    return {
        "outcome": taken.outcome,
        "event_id": taken.event_id,
        "code": taken.code or None,
        "field": taken.field or None,
        "detail": taken.detail or None,
    }
