"""Puts what failed into the quarantine, and keeps the counters of its groups in the same
transaction."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from apps.common.canonical_json import canonical_json
from apps.common.identifiers import new_id
from apps.live.broadcast import broadcast
from apps.payments.contracts import QuarantineState, Stage
from apps.payments.models import (
    QuarantineAttempt,
    QuarantinedEvent,
    QuarantineGroup,
    QuarantineHour,
)
from apps.payments.services import replay_items
from apps.payments.services.finding import search_text_of
from apps.payments.services.messages import Message
from apps.payments.services.reviews import Decided, reviews_tell
from apps.streams.records import headers_as_json

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

#: Open pages of single events are told of so many changes of one statement.
MOST_TOLD = 100

_INDEX = re.compile(r"\[[0-9]+\]|(?<=\.)[0-9]+(?=\.|$)")
_CODE = re.compile(r"[a-z][a-z0-9_.]{0,59}", re.ASCII)
#: What differs between texts that say the same: in this order, because a UUID has digits too.
_VARIABLE = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "<id>"),
        (r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{12,}\b", "<hex>"),
        (r"'[^']*'|\"[^\"]*\"", "<text>"),
        (r"[0-9]+", "<n>"),
    )
)


@dataclass(frozen=True)
class Failed:
    """A message that failed. `errors`: {code, field, message}, the first is the event's; `intake`:
    the id of its row, if it was taken in."""

    message: Message
    stage: Stage
    errors: Sequence[Mapping[str, str]]
    event_id: str | None = None
    intake: int | None = None
    attempt: int = 1
    #: Of a failure after intake: the message may fail again, at another attempt.
    came_once: str = field(default="")
    #: The event is inside the message, as its `original_payload`.
    wrapped: bool = False

    @property
    def code(self) -> str:
        return str(self.errors[0]["code"])

    @property
    def field_name(self) -> str:
        """Return the path of the field, without the places in lists."""
        return _INDEX.sub("[]", str(self.errors[0].get("field", "")))[:200]

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.stage, self.code, self.field_name)


def fingerprint_of(stage: str, code: str, field_name: str) -> str:
    """Return the id of the group of events that failed alike."""
    return sha256("\0".join((stage, code, field_name)).encode()).hexdigest()


def code_of(text: str) -> str:
    """Return a code for a failure that another program tells in words: the words, without what
    differs between two of its messages."""
    if _CODE.fullmatch(text):
        return text
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    return "reason_" + sha256(" ".join(text.split()).encode()).hexdigest()[:12]


def quarantine_put(failed: Sequence[Failed]) -> list[str]:
    """Put the messages into the quarantine; return their codes. Joins the caller's transaction.

    A redelivered message makes no second row: it is counted on its own. Groups are locked in the
    order of their fingerprints, so that two transactions do not deadlock.
    """
    if not failed:
        return []
    now = timezone.now()
    groups = _groups({one.fingerprint: one for one in failed}, now)
    rows = [_row(one, groups[one.fingerprint], now) for one in failed]
    inserted = _insert(rows)
    per_group = Counter(
        groups[one.fingerprint]
        for one, row in zip(failed, rows, strict=True)
        if row["id"] in inserted
    )
    _count(per_group, QuarantineState.OPEN)
    _count_hours(per_group, now)
    again = [row["came_once"] for row in rows if row["id"] not in inserted]
    if again:
        _seen_again(again, now)
    if inserted:
        broadcast("quarantine", id="", version=0)
    return [one.code for one in failed]


def states_move(rows: "QuerySet[QuarantinedEvent]", state: QuarantineState, now: datetime) -> int:
    """Set the state of these rows, move the counters of their groups with them, and tell the
    reviews of those that waited for a person; return how many. Joins the caller's transaction."""
    # Groups first, as in `quarantine_put`: the two do not deadlock.
    _lock_groups(set(rows.order_by().values_list("group_id", flat=True)))
    names = ("pk", "group_id", "state", "version", "review_at")
    locked = rows.select_for_update().order_by("pk").values_list(*names, named=True)
    moved = [row for row in locked if row.state != state]
    if not moved:
        return 0
    for before in sorted({row.state for row in moved}):
        _move(Counter(row.group_id for row in moved if row.state == before), before, state)
    QuarantinedEvent.objects.filter(pk__in=[row.pk for row in moved]).update(
        state=state, updated_at=now, version=F("version") + 1, review_at=None
    )
    reviews_tell(
        [
            Decided(row.pk, row.version, reviewed=row.review_at is not None)
            for row in moved
            if row.state == QuarantineState.OPEN
        ]
    )
    broadcast("quarantine", id="", version=0)
    for row in moved[:MOST_TOLD]:
        broadcast(f"quarantined_event:{row.pk}", id=str(row.pk), version=0)
    return len(moved)


def replayed(intake: int, now: datetime) -> None:
    """Note that the event that somebody replayed is kept. Joins the caller's transaction."""
    rows = QuarantinedEvent.objects.filter(intake=intake, state=QuarantineState.REPLAYING)
    pks = list(rows.order_by().values_list("pk", flat=True))
    if states_move(rows, QuarantineState.REPLAYED, now):
        replay_items.done(pks, now)


def reopen(one: Failed, now: datetime) -> bool:
    """Open the row of an event that failed again after a replay, with what it failed with now;
    return whether there is such a row. Joins the caller's transaction."""
    rows = QuarantinedEvent.objects.filter(intake=one.intake, state=QuarantineState.REPLAYING)
    row = rows.defer("raw").first()
    if row is None:
        return False
    _keep_attempt(row)
    group = _groups({one.fingerprint: one}, now)[one.fingerprint]
    _lock_groups({row.group_id, group})
    _count({row.group_id: -1}, QuarantineState.REPLAYING)
    _count({group: 1}, QuarantineState.OPEN)
    if group != row.group_id:
        # In the hour of its first failure: it is one event that failed then.
        hours = QuarantineHour.objects.filter(group=row.group_id, hour=_hour(row.created_at))
        hours.update(count=F("count") - 1)
        _count_hours({group: 1}, row.created_at)
    rows.filter(pk=row.pk).update(
        state=QuarantineState.OPEN,
        stage=one.stage,
        code=one.code[:60],
        field=one.field_name,
        errors=list(one.errors),
        group=group,
        attempt=one.attempt,
        edit=F("carried"),
        failed_at=now,
        search_text=search_text_of(one),
        updated_at=now,
        version=F("version") + 1,
    )
    replay_items.failed(row.pk, code=one.code, detail=_said(one), now=now)
    tell_event(row.pk, row.version + 1)
    return True


def tell_event(pk: "UUID", version: int) -> None:
    """Tell open pages that an event of the quarantine has changed."""
    broadcast("quarantine", id=str(pk), version=version)
    broadcast(f"quarantined_event:{pk}", id=str(pk), version=version)


# --- helpers --------------------------------------------------------------------------------------
_GROUPS = f"""
INSERT INTO payment_events_quarantine_group AS known
    (fingerprint, stage, code, field, {", ".join(QuarantineState)}, first_at, last_at)
SELECT given.*, {", ".join("0" for _state in QuarantineState)}, %s, %s
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
       AS given (fingerprint, stage, code, field)
 ORDER BY given.fingerprint
    ON CONFLICT (fingerprint) DO UPDATE SET last_at = GREATEST(known.last_at, EXCLUDED.last_at)
RETURNING fingerprint, id
"""  # noqa: S608 - our own names


def _groups(examples: Mapping[str, Failed], now: datetime) -> dict[str, int]:
    """Lock the groups, made where they are new; return their ids by fingerprint."""
    rows = [
        (fingerprint, one.stage, one.code, one.field_name) for fingerprint, one in examples.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, [now, now, *(list(column) for column in zip(*rows, strict=True))])
        return dict(cursor.fetchall())


_TABLE = (
    *("id", "came_once", "event_id", "intake_id", "raw", "size", "digest", "key", "headers"),
    *("source", "topic", "partition", "offset", "sent_at", "stage", "code", "field", "errors"),
    *("group_id", "attempt", "wrapped", "search_text"),
)
_TYPES = (
    *("uuid", "text", "text", "bigint", "bytea", "bigint", "text", "bytea", "jsonb"),
    *("text", "text", "integer", "text", "timestamptz", "text", "text", "text", "jsonb"),
    *("bigint", "integer", "boolean", "text"),
)
_INSERT = """
INSERT INTO payment_events_quarantine
    ({columns}, state, seen, edit, carried, created_at, updated_at, failed_at, version)
SELECT given.*, 'open', 1, 0, 0, %s, %s, %s, 1
  FROM unnest({types}) AS given ({columns})
    ON CONFLICT (came_once) DO NOTHING
RETURNING id
""".format(
    columns=", ".join(f'"{name}"' for name in _TABLE),
    types=", ".join(f"%s::{kind}[]" for kind in _TYPES),
)


def _row(one: Failed, group: int, now: datetime) -> dict[str, Any]:
    message, raw = one.message, one.message.raw
    return {
        "id": new_id(),
        "came_once": one.came_once or message.came_once,
        "event_id": one.event_id,
        "intake_id": one.intake,
        # What is larger than this is known by its size and digest alone.
        "raw": raw if raw is None or len(raw) <= settings.PAYMENT_RAW_MAX_BYTES else None,
        "size": len(raw or b""),
        "digest": message.digest,
        "key": message.key,
        "headers": canonical_json(headers_as_json(message.headers)),
        "source": message.source,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "sent_at": message.sent_at,
        "stage": one.stage.value,
        "code": one.code[:60],
        "field": one.field_name,
        "errors": canonical_json(list(one.errors)),
        "group_id": group,
        "attempt": one.attempt,
        "wrapped": one.wrapped,
        "search_text": search_text_of(one),
        "now": now,
    }


def _keep_attempt(row: QuarantinedEvent) -> None:
    """Keep how the event failed before, which its row is about to forget."""
    QuarantineAttempt.objects.bulk_create(
        [
            QuarantineAttempt(
                event=row,
                number=row.attempt,
                edit=row.edit,
                stage=row.stage,
                code=row.code,
                field=row.field,
                errors=row.errors,
                failed_at=row.failed_at,
            )
        ]
    )


def _said(one: Failed) -> str:
    return str(one.errors[0].get("message", ""))


def _insert(rows: Sequence[Mapping[str, Any]]) -> set[Any]:
    now = rows[0]["now"]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [now, now, now, *([row[name] for row in rows] for name in _TABLE)])
        return {row[0] for row in cursor.fetchall()}


def _count(per_group: Mapping[int, int], state: QuarantineState) -> None:
    if not per_group:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payment_events_quarantine_group AS known "  # noqa: S608 - our own names
            f"SET {state.value} = {state.value} + given.n "
            "FROM unnest(%s::bigint[], %s::integer[]) AS given (id, n) "
            "WHERE known.id = given.id",
            [list(per_group), list(per_group.values())],
        )


def _count_hours(per_group: Mapping[int, int], now: datetime) -> None:
    if not per_group:
        return
    groups = sorted(per_group)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payment_events_quarantine_hour AS known (group_id, hour, count) "
            "SELECT given.id, %s, given.n "
            "FROM unnest(%s::bigint[], %s::integer[]) AS given (id, n) "
            "ON CONFLICT (group_id, hour) DO UPDATE SET count = known.count + EXCLUDED.count",
            [_hour(now), groups, [per_group[group] for group in groups]],
        )


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _seen_again(came_once: Sequence[str], now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payment_events_quarantine SET seen = seen + 1, updated_at = %s "
            "WHERE came_once = ANY(%s)",
            [now, list(came_once)],
        )


def _lock_groups(ids: Collection[int]) -> None:
    rows = QuarantineGroup.objects.filter(pk__in=ids).order_by("fingerprint")
    list(rows.select_for_update().values_list("pk"))


def _move(per_group: Mapping[int, int], before: str, after: str) -> None:
    """Move so many events of each group, which are locked, from one counter to another."""
    ids = sorted(per_group)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payment_events_quarantine_group AS known "  # noqa: S608 - our own names
            f"SET {before} = {before} - given.n, {after} = {after} + given.n "
            "FROM unnest(%s::bigint[], %s::integer[]) AS given (id, n) "
            "WHERE known.id = given.id",
            [ids, [per_group[group] for group in ids]],
        )
