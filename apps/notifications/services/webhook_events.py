"""Publishes events to webhooks: one delivery for each subscribed endpoint."""

import json
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.db import connection
from django.utils import timezone

from apps.notifications.models.webhooks import EVERY_EVENT

#: One statement: this runs inside decisions, also where nobody listens.
_PUBLISH = """
INSERT INTO notifications_webhookdelivery
    (endpoint_id, message_id, event, body, state, attempts, next_try_at, give_up_at, lease,
     answer, error, created_at)
SELECT id, %(message_id)s, %(event)s, %(body)s, 'pending', 0, %(now)s, %(give_up_at)s, '', '', '',
    %(now)s
FROM notifications_webhookendpoint
WHERE active AND {whose}
ORDER BY id
ON CONFLICT (endpoint_id, message_id) DO NOTHING
"""


def event_publish(*, key: str, event: str, body: dict[str, Any]) -> None:
    """Write a delivery for every active endpoint subscribed to the event, once per `key`.

    Joins the caller's transaction; the relay's leader sends after the commit. `body` becomes the
    JSON field `data`: names and states, never what a person wrote in confidence. One query, however
    many endpoints there are.
    """
    _insert("events && ARRAY[%(event)s, %(every)s]::varchar[]", key=key, event=event, body=body)


def event_publish_to(*, endpoint_id: Any, key: str, event: str, body: dict[str, Any]) -> None:
    """As `event_publish`, for one active endpoint, whatever its subscriptions."""
    _insert("id = %(endpoint_id)s", key=key, event=event, body=body, endpoint_id=endpoint_id)


def _insert(whose: str, *, key: str, event: str, body: dict[str, Any], **more: Any) -> None:
    now = timezone.now()
    message_id = f"msg_{uuid5(NAMESPACE_URL, f'countersign:{key}').hex}"
    document = {"id": message_id, "type": event, "timestamp": now.isoformat(), "data": body}
    parameters: dict[str, Any] = {
        "message_id": message_id,
        "event": event[:60],
        "every": EVERY_EVENT,
        "body": json.dumps(document, default=str, allow_nan=False).replace("\\u0000", ""),
        "now": now,
        "give_up_at": now + timedelta(seconds=settings.WEBHOOK_RETRY_SECONDS),
        **more,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISH.format(whose=whose), parameters)
