"""Payment events as producers send them."""

import json
from itertools import count
from typing import Any

from apps.payments.services.messages import Message

_numbers = count(1)


def an_event(event_id: str = "", **changes: Any) -> dict[str, Any]:
    """A good event; a change to None leaves the field out."""
    event = {
        "event_id": event_id or f"stripe:evt_{next(_numbers)}",
        "provider": "stripe",
        "provider_event_id": "evt_1",
        "event_type": "payment_intent.succeeded",
        "status": "succeeded",
        "currency": "usd",
        "amount_cents": 5000,
        "provider_created_at": "2026-01-01T10:00:00Z",
        "merchant_id": "m-1",
        "customer_id": "c-1",
        "payment_method_type": "card",
        "card_brand": "visa",
        "card_last_four": "4242",
        "metadata": {"order": "A-1"},
        "processed_at": "2026-01-01T10:00:01+00:00",
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def raw(event: Any) -> bytes:
    return json.dumps(event).encode()


def a_message(event: Any = None, *, offset: int = 0, **changes: Any) -> Message:
    """The event as Kafka brings it; bytes as they are."""
    value = event if isinstance(event, bytes) or event is None else raw(event)
    about: dict[str, Any] = {"source": "kafka", "topic": "payments.normalized", "partition": 0}
    return Message(value, **about | {"offset": str(offset)} | changes)
