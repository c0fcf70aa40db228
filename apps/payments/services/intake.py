"""Takes messages in: events to carry on with, twins, and what goes to the quarantine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from apps.common.canonical_json import canonical_json
from apps.common.failpoints import failpoint
from apps.engine import subjects
from apps.payments.contracts import REVIEW_PREFIX, Outcome, QuarantineState, Stage
from apps.payments.models import Intake, QuarantinedEvent
from apps.payments.reading import Event, Unreadable, read
from apps.payments.services.messages import Message
from apps.payments.services.quarantine import Failed, quarantine_put, states_move
from apps.streams.records import headers_as_json

#: The source of an event whose workflow runs already: nobody else starts it.
BY_HAND = "engine"
#: Prefixes of workflow ids that belong to no registered subject.
RESERVED = (REVIEW_PREFIX, "payments-", "temporal-", "countersign-")


@dataclass(frozen=True)
class Taken:
    """What became of a message. `code` of one that went to the quarantine."""

    outcome: Outcome
    event_id: str | None = None
    code: str = ""
    field: str = ""
    detail: str = ""


@dataclass
class _Item:
    message: Message
    read: Event | Unreadable
    taken: Taken | None = field(default=None)


def events_take(messages: Sequence[Message]) -> list[Taken]:
    """Take the messages in, in one transaction; return what became of each, in their order.

    Again, after a crash or by a second reader, nothing is written twice. A message that PostgreSQL
    refuses is found by halving and goes to the quarantine (`unstorable`); the others are taken in.
    Raises what the database's connection raises; then nothing was taken.
    """
    items = [_Item(message, _read(message)) for message in messages]
    _take_in_halves(items)
    return [item.taken for item in items if item.taken is not None]


def is_reserved(event_id: str) -> bool:
    """Return whether another workflow of this system could have the id."""
    return event_id.startswith((*RESERVED, *(f"{one.type}-" for one in subjects.registered())))


# --- helpers --------------------------------------------------------------------------------------
def _read(message: Message) -> Event | Unreadable:
    most = settings.PAYMENT_EVENT_MAX_BYTES
    return read(message.raw, most_bytes=most, is_reserved=is_reserved)


def _take_in_halves(items: Sequence[_Item]) -> None:
    """Take the items in; where the database refuses them together, one half after the other, down
    to the single one that it refuses."""
    if not items:
        return
    try:
        with transaction.atomic(durable=True):
            _take(items)
            failpoint("events_take.uncommitted")
        return
    except (DataError, IntegrityError):
        if len(items) > 1:
            half = len(items) // 2
            _take_in_halves(items[:half])
            _take_in_halves(items[half:])
            return
    [item] = items
    item.read = Unreadable("unstorable", detail="PostgreSQL refuses it.")
    item.message = item.message.in_plain_texts()
    with transaction.atomic(durable=True):
        _take(items)


def _take(items: Sequence[_Item]) -> None:
    now = timezone.now()
    new: dict[str, _Item] = {}
    for item in items:
        if isinstance(item.read, Event):
            new.setdefault(item.read.event_id, item)
    inserted = _insert(list(new.values()), now)
    known = _known([event_id for event_id in new if event_id not in inserted])
    failed: list[tuple[_Item, Failed]] = []
    twins: dict[int, int] = {}
    for item in items:
        if isinstance(item.read, Unreadable):
            failed.append((item, _unreadable(item)))
            continue
        event = item.read
        if new[event.event_id] is item and event.event_id in inserted:
            item.taken = Taken(Outcome.ACCEPTED, event.event_id)
            continue
        row = known.get(event.event_id)
        first = new[event.event_id].read
        digest = row.digest if row else first.digest if isinstance(first, Event) else ""
        if row is not None and _came_before(row, item.message):
            item.taken = Taken(Outcome.TWIN, event.event_id)
        elif digest == event.digest:
            pk = row.pk if row else inserted[event.event_id]
            twins[pk] = twins.get(pk, 0) + 1
            item.taken = Taken(Outcome.TWIN, event.event_id)
        elif row is not None and _never_took_effect(row) and not _was_refused(item.message):
            _replace(row, item, now)
            item.taken = Taken(Outcome.ACCEPTED, event.event_id)
        else:
            failed.append((item, _reused(item, row.pk if row else None)))
    _count_twins(twins)
    for (item, _), code in zip(failed, quarantine_put([one for _, one in failed]), strict=True):
        item.taken = Taken(
            Outcome.QUARANTINED,
            item.read.event_id,
            code,
            *((item.read.field, item.read.detail) if isinstance(item.read, Unreadable) else ()),
        )


_COLUMNS = (
    *("event_id", "digest", "raw", "key", "headers", "source", "topic", "partition"),
    *('"offset"', "sent_at"),
)
_INSERT = f"""
INSERT INTO payments_intake ({", ".join(_COLUMNS)}, attempt, twins, senseless, taken_at, stored,
    alone, admitted_at)
SELECT given.*, 1, 0, 0, %s, FALSE, FALSE, CASE WHEN source = %s THEN %s::timestamptz END
  FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::jsonb[], %s::text[],
              %s::text[], %s::integer[], %s::text[], %s::timestamptz[])
       AS given ({", ".join(_COLUMNS)})
 ORDER BY given.event_id
    ON CONFLICT (event_id) DO NOTHING
RETURNING event_id, id
"""  # noqa: S608 - our own names


def _insert(items: Sequence[_Item], now: datetime) -> dict[str, int]:
    """Insert the events, sorted so that two readers do not deadlock; return the ids of the new
    rows."""
    if not items:
        return {}
    rows = [_columns(item) for item in items]
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT, [now, BY_HAND, now, *(list(column) for column in zip(*rows, strict=True))]
        )
        return dict(cursor.fetchall())


def _columns(item: _Item) -> tuple[Any, ...]:
    message, event = item.message, item.read
    assert isinstance(event, Event)
    return (
        *(event.event_id, event.digest, message.raw or b"", message.key),
        canonical_json(headers_as_json(message.headers)),
        *(message.source, message.topic, message.partition, message.offset, message.sent_at),
    )


def _known(event_ids: Sequence[str]) -> Mapping[str, Intake]:
    """Lock the rows that have these ids."""
    if not event_ids:
        return {}
    rows = Intake.objects.filter(event_id__in=event_ids).select_for_update().order_by("pk")
    return {row.event_id: row for row in rows.defer("raw")}


#: Where a stream has a message, and since when: no two messages have all of it in common.
_PLACE = ("source", "topic", "partition", "offset", "sent_at")


def _came_before(row: Intake, message: Message) -> bool:
    """Return whether this very message is the row's, or was until a later one took its place: its
    reader was killed before the stream knew that it was done."""
    if not message.offset:
        return False
    if all(getattr(row, name) == getattr(message, name) for name in _PLACE):
        return True
    if row.attempt == 1:
        return False
    place = {name: getattr(message, name) for name in _PLACE}
    earlier = QuarantinedEvent.objects.filter(intake=row, digest=message.digest, **place)
    return earlier.exists()


def _was_refused(message: Message) -> bool:
    """Return whether the message is in the quarantine because of an event that was there first."""
    return QuarantinedEvent.objects.filter(came_once=message.came_once).exists()


def _never_took_effect(row: Intake) -> bool:
    """Return whether the event ended in the quarantine, and waits for nobody's replay."""
    return row.done_at is not None and not row.stored


def _replace(row: Intake, item: _Item, now: datetime) -> None:
    """Let a later event take the place of one that never took effect."""
    open_rows = QuarantinedEvent.objects.filter(intake=row, state=QuarantineState.OPEN)
    states_move(open_rows, QuarantineState.SUPERSEDED, now)
    columns = dict(zip((name.strip('"') for name in _COLUMNS), _columns(item), strict=True))
    columns["headers"] = headers_as_json(item.message.headers)
    Intake.objects.filter(pk=row.pk).update(
        **columns,
        taken_at=now,
        admitted_at=None,
        done_at=None,
        attempt=row.attempt + 1,
        senseless=0,
        alone=False,
    )
    assert isinstance(item.read, Event)
    row.digest, row.done_at, row.attempt = item.read.digest, None, row.attempt + 1


def _count_twins(twins: Mapping[int, int]) -> None:
    if not twins:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_intake AS intake SET twins = twins + given.n "
            "FROM unnest(%s::bigint[], %s::integer[]) AS given (id, n) WHERE intake.id = given.id",
            [list(twins), list(twins.values())],
        )


def _unreadable(item: _Item) -> Failed:
    assert isinstance(item.read, Unreadable)
    wrong = item.read
    return Failed(
        message=item.message,
        stage=Stage.READ,
        errors=[{"code": wrong.code, "field": wrong.field, "message": wrong.detail}],
        event_id=wrong.event_id,
    )


def _reused(item: _Item, intake: int | None) -> Failed:
    return Failed(
        message=item.message,
        stage=Stage.INTAKE,
        errors=[
            {
                "code": "event_id_reused",
                "field": "event_id",
                "message": "Another event with other content has this id.",
            }
        ],
        event_id=item.read.event_id,
    )
