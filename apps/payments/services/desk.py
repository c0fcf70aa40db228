"""What people do with events in the quarantine: discard, restore, replay."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.failpoints import failpoint
from apps.common.identifiers import uuid_of
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine.services import commands_enqueue
from apps.payments.contracts import QUARANTINED, QuarantineState
from apps.payments.models import Intake, QuarantinedEvent
from apps.payments.reading import Event, read
from apps.payments.services.admission import start_of
from apps.payments.services.intake import is_reserved
from apps.payments.services.quarantine import states_move

DISCARD = "payments.discard_quarantinedevent"
REPLAY = "payments.replay_quarantinedevent"


def event_discard(*, row_id: UUID | str, by: User, via: str, reason: str) -> QuarantinedEvent:
    """Discard an open event; nobody will carry it on. Again it changes nothing.

    Raises, each audited: NotFound `quarantined_event_not_found`; NotAllowed `permission_denied`;
    Invalid `reason_required`, `reason_invalid`; Conflict `already_replaying`, `already_settled`.
    """
    with _acting("discard", row_id, by=by, via=via, permission=DISCARD) as row:
        reason = clean_reason(reason)
        if not reason:
            raise Invalid(_("Say why it is discarded."), code="reason_required")
        if row.state != QuarantineState.DISCARDED:
            _check_open(row)
            _move(row, QuarantineState.DISCARDED)
            _record(row, "discarded", by=by, via=via, reason=reason)
    return row


def event_restore(*, row_id: UUID | str, by: User, via: str, reason: str = "") -> QuarantinedEvent:
    """Take a discarding back; again it changes nothing. Raises as `event_discard`, and Conflict
    `event_waits_elsewhere` when the event waits in another row meanwhile, `payload_deleted`."""
    with _acting("restore", row_id, by=by, via=via, permission=DISCARD) as row:
        reason = clean_reason(reason)
        if row.state != QuarantineState.OPEN:
            if row.state != QuarantineState.DISCARDED:
                _check_open(row)
            _check_payload(row)
            try:
                with transaction.atomic():
                    _move(row, QuarantineState.OPEN)
            except IntegrityError:
                raise Conflict(
                    _("The event waits in another row."), code="event_waits_elsewhere"
                ) from None
            _record(row, "restored", by=by, via=via, reason=reason)
    return row


def event_replay(*, row_id: UUID | str, by: User, via: str) -> QuarantinedEvent:
    """Carry an open event on as it came: its workflow is started again under the same id. Row,
    intake and start commit together, so that of two who replay it one does.

    Raises, each audited: NotFound `quarantined_event_not_found`; NotAllowed `permission_denied`;
    Conflict `already_replaying`, `already_settled`, `not_replayable` (it is no readable event: edit
    it), `event_known` (another event has its id), `event_waits_elsewhere`.
    """
    with _acting("replay", row_id, by=by, via=via, permission=REPLAY) as row:
        _check_open(row)
        event = _readable(row)
        intake = _intake_of(row, event)
        row.intake = intake
        QuarantinedEvent.objects.filter(pk=row.pk).update(intake=intake)
        _move(row, QuarantineState.REPLAYING)
        commands_enqueue([start_of(intake)])
        _record(row, "replayed", by=by, via=via, attempt=intake.attempt)
        failpoint("event_replay.uncommitted")
    return row


# --- helpers --------------------------------------------------------------------------------------
@contextmanager
def _acting(
    verb: str, row_id: UUID | str, *, by: User, via: str, permission: str
) -> Iterator[QuarantinedEvent]:
    about = {"subject_type": QUARANTINED, "subject_id": str(row_id)[:80]}
    with refusals(action=f"{QUARANTINED}.{verb}", by=by, via=via, **about):
        if not by.has_perm(permission):
            raise NotAllowed(_("You may not do this."), code="permission_denied")
        with transaction.atomic(durable=True):
            pk = uuid_of(row_id)
            rows = QuarantinedEvent.objects.select_for_update(no_key=True)
            row = rows.filter(pk=pk).first() if pk else None
            if row is None:
                raise NotFound(
                    _("There is no such event in the quarantine."),
                    code="quarantined_event_not_found",
                )
            yield row


def _check_open(row: QuarantinedEvent) -> None:
    if row.state == QuarantineState.REPLAYING:
        raise Conflict(_("Somebody replays it already."), code="already_replaying")
    if row.state != QuarantineState.OPEN:
        raise Conflict(
            filled(_("It is settled: {state}."), state=row.state),
            code="already_settled",
            state=row.state,
        )


def _check_payload(row: QuarantinedEvent) -> None:
    if row.raw_deleted_at is not None:
        raise Conflict(
            filled(_("Its content was deleted at {at}."), at=row.raw_deleted_at),
            code="payload_deleted",
        )


def _readable(row: QuarantinedEvent) -> Event:
    _check_payload(row)
    found = read(
        None if row.raw is None else bytes(row.raw),
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
    )


def _intake_of(row: QuarantinedEvent, event: Event) -> Intake:
    """Return the locked intake under which the event is carried on: its own, set back, or a new
    one."""
    now = timezone.now()
    known = Intake.objects.select_for_update(no_key=True).filter(event_id=event.event_id).first()
    if known is None:
        return Intake.objects.create(
            event_id=event.event_id,
            digest=event.digest,
            raw=bytes(row.raw or b""),
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
    _set_back(known, row, event, now)
    return known


def _set_back(known: Intake, row: QuarantinedEvent, event: Event, now: datetime) -> None:
    known.digest, known.raw = event.digest, bytes(row.raw or b"")
    known.attempt += 1
    known.senseless, known.admitted_at, known.done_at = 0, now, None
    known.save(update_fields=["digest", "raw", "attempt", "senseless", "admitted_at", "done_at"])


def _move(row: QuarantinedEvent, state: QuarantineState) -> None:
    states_move(QuarantinedEvent.objects.filter(pk=row.pk), state, timezone.now())
    row.state = state


def _record(row: QuarantinedEvent, verb: str, *, by: User, via: str, **body: object) -> None:
    entry_record(
        action=f"{QUARANTINED}.{verb}",
        subject_type=QUARANTINED,
        subject_id=str(row.pk),
        by=by,
        via=via,
        body={"event_id": row.event_id, "code": row.code, **body},
    )
