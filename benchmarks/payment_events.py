"""Payment events for benchmarks, as a provider sends them: about 600 bytes each."""

import itertools
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

#: Statuses in turn: half of the events get a score of fraud, some a strategy for another try.
STATUSES = ("succeeded", "captured", "failed", "authorized", "pending")
#: Of one transaction, as the consumer has it.
AT_ONCE = 500
_numbers = itertools.count()


def events_of(number: int) -> list[bytes]:
    """So many new events."""
    run = next(_numbers)
    return [_event(f"bench:{run}-{one}", one) for one in range(number)]


def take(events: list[bytes]) -> None:
    """Take them in, as the consumer does."""
    from apps.payments.services.intake import events_take
    from apps.payments.services.messages import Message

    for first in range(0, len(events), AT_ONCE):
        some = events[first : first + AT_ONCE]
        events_take([Message(raw, source="api", topic="bench") for raw in some])


def kept(connection: "psycopg.Connection") -> int:
    """How many rows there are."""
    row = connection.execute("SELECT count(*) FROM payment_events").fetchone()
    assert row is not None
    return int(row[0])


def _event(event_id: str, number: int) -> bytes:
    return json.dumps(
        {
            "event_id": event_id,
            "provider": "stripe",
            "provider_event_id": f"evt_{event_id}",
            "event_type": "payment_intent.updated",
            "status": STATUSES[number % len(STATUSES)],
            "currency": "USD",
            "amount_cents": 1000 + number,
            "merchant_id": f"merchant-{number % 50}",
            "customer_id": f"customer-{number % 5000}",
            "payment_method_type": "card",
            "card_brand": "visa",
            "card_last_four": "4242",
            "failure_code": "",
            "failure_message": "",
            "metadata": {"order": f"A-{number}", "channel": "web", "basket": [1, 2, 3]},
            "provider_created_at": "2026-01-01T10:00:00Z",
            "processed_at": "2026-01-01T10:00:01Z",
            "schema_version": 1,
        }
    ).encode()
