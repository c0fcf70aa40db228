"""Events of Pix keys, written in the transaction of the change that they tell of."""

from datetime import datetime
from typing import Any

from apps.pix.contracts import EVENTS_TOPIC
from apps.streams.services import events


def event_emit(
    *,
    type: str,
    key: str,
    occurred_at: datetime,
    data: dict[str, Any],
    claim_id: str = "",
    entry_id: str = "",
) -> None:
    """Write an event `{id, type, key, claim_id?, entry_id?, occurred_at, data}` for the topic
    `dict-events`. Joins the caller's transaction. Events with the same `key` are sent in the order
    in which they were written: write them under the lock of their row."""
    events.event_emit(
        topic=EVENTS_TOPIC,
        key=key,
        type=type,
        data=data,
        occurred_at=occurred_at,
        claim_id=claim_id or None,
        entry_id=entry_id or None,
    )
