"""The way out: messages for topics are written here, and sent by the relay's leader.

A message is sent at least once. Only a leader that is killed between the broker's answer and its
own commit sends one twice: the receiver knows it by the header MESSAGE_ID.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from apps.common.correlation import get_logger
from apps.common.errors import Conflict
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.streams.brokers import MESSAGE_ID, Publisher, Sent, ToSend
from apps.streams.models import OutgoingMessage
from apps.streams.records import headers_from_json

logger = get_logger(__name__)

#: Messages of one turn.
MOST = 100
#: Pauses after failures: seconds, doubling.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


def message_send(
    *,
    key_once: str,
    broker: str,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    headers: Sequence[Sequence[Any]],
    subject_type: str,
    subject_id: str,
) -> OutgoingMessage:
    """Write a message for a topic, or return the one that has its key. Joins the caller's
    transaction. `headers`: name and value in base64, or None. Raises Conflict `message_key_reused`
    if that one is for another topic."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "a message is written in the transaction that decides it"
        )
    message, _new = OutgoingMessage.objects.get_or_create(
        key_once=key_once,
        defaults={
            "broker": broker,
            "topic": topic,
            "value": value,
            "key": key,
            "headers": [list(header) for header in headers],
            "subject_type": subject_type,
            "subject_id": subject_id,
        },
    )
    if (message.broker, message.topic) != (broker, topic):
        raise Conflict(_("Another message has this key."), code="message_key_reused")
    return message


def brokers_due(*, now: datetime) -> list[str]:
    """Return the brokers that have messages to get now."""
    due = OutgoingMessage.objects.filter(sent_at=None, next_try_at__lte=now)
    return [broker for broker in OutgoingMessage.BROKERS if due.filter(broker=broker).exists()]


def messages_publish(publisher: Publisher, *, broker: str, now: datetime) -> int:
    """Send the messages of a broker that are due, the oldest first; return how many were tried.

    One transaction: of two leaders, for the moment of a change, each message has one. What the
    broker does not take is tried again, later each time, and never given up.
    """
    with transaction.atomic(durable=True):
        due = OutgoingMessage.objects.filter(broker=broker, sent_at=None, next_try_at__lte=now)
        locked = due.select_for_update(skip_locked=True).order_by("next_try_at", "pk")
        rows = list(locked[:MOST])
        if not rows:
            return 0
        answers = publisher.publish([_to_send(row) for row in rows])
        failpoint("messages_publish.sent")
        for row, answer in zip(rows, answers, strict=True):
            _settle(row, answer, now)
        OutgoingMessage.objects.bulk_update(rows, _SETTLED)
    return len(rows)


_SETTLED = (
    *("attempts", "error", "next_try_at", "sent_at", "place"),
    *("value", "key", "headers"),
)


# --- helpers --------------------------------------------------------------------------------------
def _to_send(row: OutgoingMessage) -> ToSend:
    return ToSend(
        topic=row.topic,
        value=None if row.value is None else bytes(row.value),
        key=None if row.key is None else bytes(row.key),
        headers=(*headers_from_json(row.headers), (MESSAGE_ID, row.key_once.encode())),
    )


def _settle(row: OutgoingMessage, answer: Sent, now: datetime) -> None:
    row.attempts += 1
    row.error = answer.error.replace("\x00", "")[:500]
    if not answer.error:
        row.sent_at, row.place = now, answer.place[:60]
        # What the topic has is not kept here a second time: it may be about a person.
        row.value, row.key, row.headers = None, None, []
        return
    pause = min(FIRST_PAUSE * 2 ** min(row.attempts - 1, 10), LONGEST_PAUSE)
    row.next_try_at = now + timedelta(seconds=pause)
    logger.warning("stream.not_sent", topic=row.topic, key=row.key_once, error=row.error)
