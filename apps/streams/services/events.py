"""Events in order: written with the change that they tell of, numbered and sent by the relay's
leader.

Each is sent at least once and never given up. Repetitions have the same id; whoever leaves them out
sees each key's events in the order in which they were written, also after kills, and while an old
leader still sends: nobody sends an event before all those ahead of it were sent.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from apps.common.canonical_json import canonical_json
from apps.common.correlation import get_logger
from apps.common.errors import Invalid
from apps.common.identifiers import new_id
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.streams.brokers import Sent, ToSend
from apps.streams.models import OutEvent, OutTopic
from apps.streams.outgoing import NotTaken, must_be_registered

logger = get_logger(__name__)

#: Events of one turn.
MOST = 200
#: Brokers take messages of at least this size, headers left out.
MOST_BYTES = 512 * 1024
#: Events that one statement deletes.
STEP = 1000
#: The header, or field, with the event's id.
EVENT_ID = "id"


class EventPublisher(Protocol):
    """What events are sent through: `outgoing.InOrder`."""

    def last_position(self) -> int:
        """Return the highest position that the broker has seen, 0 for none. Raises NotTaken."""

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """Send in order; return what became of those that were tried. All but the last were
        taken."""


def event_emit(
    *,
    topic: str,
    key: str,
    type: str,
    data: Any,
    occurred_at: datetime,
    **ids: UUID | str | None,
) -> OutEvent:
    """Write an event for a registered topic, in the caller's transaction.

    What is sent is `{id, type, key, occurred_at, data}` and the `ids` that are not None, as
    canonical JSON. Call it while you hold the lock of the row that the key stands for: events of
    one key are sent in the order in which their writers held it. Raises Invalid `event_invalid` for
    an empty or overlong key or type (200, 100 characters), text that PostgreSQL or UTF-8 cannot
    hold, data that is no JSON, a time without a zone, an id called `id`; Invalid `event_too_large`
    above 512 KiB; ImproperlyConfigured for an unknown topic; TransactionManagementError outside a
    transaction.
    """
    must_be_registered(topic)
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "an event is written in the transaction that makes the change"
        )
    for name, text, most in (("key", key, 200), ("type", type, 100)):
        if not 0 < len(text) <= most or "\x00" in text:
            said = _("{name} must have 1 to {most} characters, and no NUL")
            raise Invalid(filled(said, name=name, most=most), code="event_invalid")
    if occurred_at.tzinfo is None or "id" in ids:
        said = _("An event needs a time with a zone, and has an id of its own.")
        raise Invalid(said, code="event_invalid")
    event_id = new_id()
    document = {name: value for name, value in ids.items() if value is not None} | {
        "id": event_id,
        "type": type,
        "key": key,
        "occurred_at": occurred_at.astimezone(UTC),
        "data": data,
    }
    return OutEvent.objects.create(
        event_id=event_id,
        topic=topic,
        key=key,
        type=type,
        body=_body(document),
        occurred_at=occurred_at,
    )


def events_publish(publisher: EventPublisher, *, topic: str) -> int:
    """Number the topic's committed events and send the first of them, in order; return how many
    the broker took.

    The numbers are committed before anything is sent: what commits late gets a later one, and a
    repetition keeps its own. While the broker does not take an event, those behind it wait.
    """
    if not _waiting(topic).exists():
        return 0
    OutTopic.objects.get_or_create(topic=topic)
    try:
        if not _number(publisher, topic):
            return 0
    except NotTaken as error:
        first = _waiting(topic).order_by("position", "seq").first()
        if first is not None:
            _not_taken(first, str(error))
        return 0
    return _send(publisher, topic)


def events_forget(*, now: datetime) -> int:
    """Delete up to STEP events that were sent OUT_EVENT_DAYS ago; return how many."""
    before = now - timedelta(days=settings.OUT_EVENT_DAYS)
    old = OutEvent.objects.filter(sent_at__lt=before).order_by("sent_at")
    keys = list(old.values_list("seq", flat=True)[:STEP])
    return OutEvent.objects.filter(seq__in=keys).delete()[0]


# --- helpers --------------------------------------------------------------------------------------
def _body(document: Any) -> str:
    try:
        body = canonical_json(document)
        size = len(body.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(_("The event is not what JSON can say."), code="event_invalid") from error
    if size > MOST_BYTES:
        raise Invalid(
            filled(_("An event has at most {most} bytes."), most=MOST_BYTES), code="event_too_large"
        )
    return body


def _waiting(topic: str) -> QuerySet[OutEvent]:
    return OutEvent.objects.filter(topic=topic, sent_at=None)


def _locked(topic: str) -> OutTopic | None:
    """Return the topic's row, locked until the transaction's end; None: another leader has it."""
    return OutTopic.objects.select_for_update(skip_locked=True).filter(topic=topic).first()


def _number(publisher: EventPublisher, topic: str) -> bool:
    """Have up to MOST events wait with a position; return whether this leader may send."""
    with transaction.atomic(durable=True):
        counter = _locked(topic)
        if counter is None:
            return False
        numbered = _waiting(topic).filter(position__isnull=False)[:MOST].count()
        rows = list(_waiting(topic).filter(position=None).order_by("seq")[: MOST - numbered])
        if rows:
            # After a restored backup the broker has seen higher ones, and might take new events for
            # repetitions.
            counter.position = max(counter.position, publisher.last_position())
            for row in rows:
                counter.position += 1
                row.position = counter.position
            OutEvent.objects.bulk_update(rows, ["position"])
            counter.save(update_fields=["position"])
    return True


def _send(publisher: EventPublisher, topic: str) -> int:
    with transaction.atomic(durable=True):
        if _locked(topic) is None:
            return 0
        numbered = _waiting(topic).filter(position__isnull=False)
        rows = list(numbered.order_by("position")[:MOST])
        answers = publisher.publish([_to_send(row) for row in rows])
        taken = sum(not answer.error for answer in answers)
        OutEvent.objects.filter(seq__in=[row.seq for row in rows[:taken]]).update(
            sent_at=timezone.now(), attempts=F("attempts") + 1, error=""
        )
        if taken < len(answers):
            _not_taken(rows[taken], answers[taken].error)
    return taken


def _not_taken(row: OutEvent, error: str) -> None:
    error = error.replace("\x00", "")[:500]
    if error != row.error:
        # Once, not every second while the broker is away. Its key may be about a person.
        logger.warning("event.not_sent", topic=row.topic, event_id=str(row.event_id), error=error)
    OutEvent.objects.filter(seq=row.seq).update(attempts=F("attempts") + 1, error=error)


def _to_send(row: OutEvent) -> ToSend:
    assert row.position is not None  # the query filters by it
    return ToSend(
        topic=row.topic,
        value=row.body.encode(),
        key=row.key.encode(),
        headers=((EVENT_ID, str(row.event_id).encode()),),
        position=row.position,
    )
