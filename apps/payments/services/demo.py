"""The demo's payment events: four weeks of them, and a quarantine with work for two people.

Idempotent by the ids of the events. Kept events of the past are written as their workflows would
have left them; what waits went through the services.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.common.exact_json import written
from apps.payments.contracts import (
    STATUSES,
    ChurnPrediction,
    FraudScore,
    PersistInput,
    RetryStrategy,
    Scoring,
)
from apps.payments.models import Intake, PaymentEvent, QuarantinedEvent
from apps.payments.reading import Event, read
from apps.payments.services.carrying import RuleFailed, event_row, event_validate
from apps.payments.services.desk import event_discard
from apps.payments.services.edits import edit_ask
from apps.payments.services.intake import events_take
from apps.payments.services.messages import Message

TOPIC = "payments.normalized"
#: (status, currency, minor units, customer, how it was paid): Lagos and São Paulo.
PAYMENTS = (
    ("succeeded", "NGN", 1_250_000, "cus_chinedu", "card"),
    ("succeeded", "BRL", 18_990, "cus_marcela", "pix"),
    ("captured", "NGN", 480_000, "cus_folake", "ussd"),
    ("failed", "BRL", 7_450, "cus_thiago", "card"),
    ("paid", "BRL", 125_000, "cus_beatriz", "boleto"),
    ("declined", "NGN", 2_200_000, "cus_emeka", "card"),
    ("created", "NGN", 35_000, "cus_ngozi", "bank_transfer"),
    ("refunded", "BRL", 9_900, "cus_marcela", "card"),
    ("succeeded", "JPY", 4_200, "cus_yuki", "card"),
)
RISKS = ((0.05, "low"), (0.31, "medium"), (0.12, "low"), (0.88, "high"))
CHURN = ((0.11, "low", 210), (0.47, "medium", 60), (0.81, "high", 12))
#: Events that fail, with what differs from a good one.
FAILING: tuple[dict[str, Any], ...] = (
    *({"currency": "SEK"} for _ in range(5)),
    *({"amount_cents": 0} for _ in range(3)),
    {"status": "teleported"},
    {"payment_method_type": "cowrie"},
    {"amount_cents": 250_000_000, "currency": "NGN"},
)
UNREADABLE = (b"{", b"[1, 2]", b'{"event_id": "has space"}', b'{"event_id": "a", "event_id": "b"}')


def payments_seed(*, people: dict[str, User]) -> Iterator[str]:
    """Create what is missing; yield a line of progress."""
    now = timezone.now()
    if Intake.objects.filter(event_id="demo:evt_0").exists():
        yield "payment events, as they were"
        return
    kept = list(_moments(now))
    _keep(kept)
    yield f"{len(kept)} payment events of the last four weeks"
    _fail(people, now)
    yield f"{len(FAILING) + len(UNREADABLE)} events in the quarantine, one of them edited"


# --- helpers --------------------------------------------------------------------------------------
def _moments(now: datetime) -> Iterator[datetime]:
    """Yield the times of kept events, oldest first: fewer at night."""
    for hours in range(28 * 24, 0, -1):
        at = now - timedelta(hours=hours)
        of_today = hours <= 24
        number = (3 if 8 <= at.hour <= 20 else 1) if of_today or hours % 4 == 0 else 0
        for place in range(number):
            yield at + timedelta(minutes=11 * place + hours % 7)


def _event(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    status, currency, amount, customer, method = PAYMENTS[number % len(PAYMENTS)]
    provider = "paystack" if currency == "NGN" else "stripe"
    return {
        "event_id": f"demo:evt_{number}",
        "provider": provider,
        "provider_event_id": f"evt_{number}",
        "event_type": f"payment.{status}",
        "status": status,
        "currency": currency,
        "amount_cents": amount + 100 * (number % 37),
        "merchant_id": ("mer_lekki", "mer_pinheiros")[number % 2],
        "customer_id": customer,
        "payment_method_type": method,
        "provider_created_at": at.isoformat(),
        "metadata": {"order": f"A-{1000 + number}"},
        **changes,
    }


def _message(event: dict[str, Any] | bytes, number: int) -> Message:
    raw = event if isinstance(event, bytes) else written(event).encode()
    return Message(
        raw, source="kafka", topic=TOPIC, partition=number % 3, offset=str(40_000 + number)
    )


def _keep(moments: list[datetime]) -> None:
    with transaction.atomic():
        intakes, rows = [], []
        for number, at in enumerate(moments):
            message = _message(_event(number, at), number)
            found = read(message.raw, most_bytes=2**20, is_reserved=lambda event_id: False)
            assert isinstance(found, Event)
            intakes.append(
                Intake(
                    event_id=found.event_id,
                    digest=found.digest,
                    raw=message.raw or b"",
                    source=message.source,
                    topic=message.topic,
                    partition=message.partition,
                    offset=message.offset,
                    taken_at=at,
                    admitted_at=at + timedelta(milliseconds=120),
                    done_at=at + timedelta(seconds=1, milliseconds=40 * (number % 23)),
                    stored=True,
                )
            )
        for number, intake in enumerate(Intake.objects.bulk_create(intakes)):
            row = event_row(intake, _scores(number, intake.event_id))
            assert intake.done_at is not None
            row.ingested_at = intake.done_at
            rows.append(row)
        PaymentEvent.objects.bulk_create(rows)


def _scores(number: int, event_id: str) -> PersistInput:
    scoring = STATUSES[PAYMENTS[number % len(PAYMENTS)][0]]
    fraud = FraudScore(*RISKS[number % len(RISKS)]) if scoring is Scoring.FRAUD else None
    retry = RetryStrategy("retry_later", 3600, 3, "The bank was busy.")
    return PersistInput(
        event_id,
        fraud=fraud,
        retry=retry if scoring is Scoring.RETRY else None,
        churn=ChurnPrediction(*CHURN[number % len(CHURN)]),
    )


def _fail(people: dict[str, User], now: datetime) -> None:
    first = 10_000
    events = [
        _event(first + number, now - timedelta(minutes=5 * number), **changes)
        for number, changes in enumerate(FAILING)
    ]
    all_of_them: list[dict[str, Any] | bytes] = [*events, *UNREADABLE]
    messages = [_message(one, first + n) for n, one in enumerate(all_of_them)]
    events_take(messages)
    ids = [event["event_id"] for event in events]
    Intake.objects.filter(event_id__in=ids).update(admitted_at=now)
    for one in ids:
        try:
            event_validate(event_id=one)
        except RuleFailed:
            continue
    said: dict[str, Any] = {"by": people["corrector"], "via": "page"}
    zero = QuarantinedEvent.objects.get(event_id=f"demo:evt_{first + 5}")
    edit_ask(
        row_id=zero.pk,
        text=written(events[5] | {"amount_cents": 480_000}),
        reason="The provider's report has 4,800.00 for this payment.",
        as_of=now,
        **said,
    )
    odd = QuarantinedEvent.objects.get(event_id=f"demo:evt_{first + 8}")
    event_discard(row_id=odd.pk, reason="A test of the sender's; they were told.", **said)
