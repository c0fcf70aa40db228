"""Carries a quarantined event on: its newest signed version, or the event as it came.

Everything joins the caller's transaction, which holds the lock of the event's row.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from apps.common.errors import Conflict
from apps.common.identifiers import uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.engine.outbox import NewCommand
from apps.payments.contracts import QuarantineState, ReplayItemStatus
from apps.payments.models import Intake, QuarantinedEvent, ReplayItem
from apps.payments.reading import Event, read
from apps.payments.services.admission import start_of
from apps.payments.services.finding import event_unknown
from apps.payments.services.intake import is_reserved
from apps.payments.services.payloads import Version
from apps.payments.services.quarantine import states_move


def event_locked(row_id: UUID | str) -> QuarantinedEvent:
    """Lock the event's row. Raises NotFound `quarantined_event_not_found`."""
    pk = uuid_of(row_id)
    rows = QuarantinedEvent.objects.select_for_update(no_key=True)
    row = rows.filter(pk=pk).first() if pk else None
    if row is None:
        raise event_unknown()
    return row


def carry_on(row: QuarantinedEvent, version: Version, *, now: datetime) -> NewCommand:
    """Set the event back and return the start of its workflow, under its own id.

    Raises Conflict `payload_deleted`, `not_replayable` (it is no readable event: edit it),
    `event_known` (another event has its id), `event_waits_elsewhere`.
    """
    check_payload(row)
    event = readable(version)
    intake = intake_of(row, version, event, now=now)
    QuarantinedEvent.objects.filter(pk=row.pk).update(intake=intake, carried=version.number)
    row.intake, row.carried = intake, version.number
    states_move(QuarantinedEvent.objects.filter(pk=row.pk), QuarantineState.REPLAYING, now)
    row.state = QuarantineState.REPLAYING
    return start_of(intake)


def check_open(row: QuarantinedEvent, *, item: ReplayItem | None = None) -> None:
    """Raise Conflict `already_replaying` for an event on its way, or one that waits in a replay
    other than the item's; `already_settled` (extra state) for one that is settled."""
    if row.state == QuarantineState.OPEN:
        waiting = (ReplayItemStatus.WAITING, ReplayItemStatus.RUNNING)
        others = ReplayItem.objects.filter(event=row, status__in=waiting)
        if item is not None:
            others = others.exclude(pk=item.pk)
        if not others.exists():
            return
    if row.state in (QuarantineState.OPEN, QuarantineState.REPLAYING):
        raise Conflict(_("Somebody replays it already."), code="already_replaying")
    raise Conflict(
        filled(_("It is settled: {state}."), state=row.state),
        code="already_settled",
        state=row.state,
    )


def check_payload(row: QuarantinedEvent) -> None:
    """Raise Conflict `payload_deleted` for an event whose content was deleted."""
    if row.raw_deleted_at is not None:
        raise Conflict(
            filled(_("Its content was deleted at {at}."), at=row.raw_deleted_at),
            code="payload_deleted",
        )


def readable(version: Version) -> Event:
    """Return the event in these bytes. Raises Conflict `not_replayable`."""
    found = read(
        version.raw,
        most_bytes=settings.PAYMENT_EVENT_MAX_BYTES,
        is_reserved=is_reserved,
    )
    if isinstance(found, Event):
        return found
    raise Conflict(
        filled(
            _("It is no event that could be carried on ({code}): edit it first."), code=found.code
        ),
        code="not_replayable",
        why=found.code,
        detail_of=found.detail,
    )


def intake_of(row: QuarantinedEvent, version: Version, event: Event, *, now: datetime) -> Intake:
    """Return the locked intake under which the event is carried on: its own, set back, or a new
    one. Raises as `carry_on`."""
    known = Intake.objects.select_for_update(no_key=True).filter(event_id=event.event_id).first()
    if known is None:
        return Intake.objects.create(
            event_id=event.event_id,
            digest=event.digest,
            raw=version.raw or b"",
            key=row.key,
            headers=row.headers,
            source=row.source,
            topic=row.topic,
            partition=row.partition,
            offset=row.offset,
            sent_at=row.sent_at,
            attempt=row.attempt + 1,
            taken_at=now,
            admitted_at=now,
        )
    if known.done_at is None or known.stored or row.intake_id not in (None, known.pk):
        raise Conflict(_("Another event has this id."), code="event_known")
    waiting = (QuarantineState.OPEN, QuarantineState.REPLAYING)
    others = QuarantinedEvent.objects.filter(intake=known, state__in=waiting).exclude(pk=row.pk)
    if others.exists():
        raise Conflict(_("The event waits in another row."), code="event_waits_elsewhere")
    known.digest, known.raw = event.digest, version.raw or b""
    known.attempt += 1
    known.senseless, known.admitted_at, known.done_at = 0, now, None
    known.save(update_fields=["digest", "raw", "attempt", "senseless", "admitted_at", "done_at"])
    return known
