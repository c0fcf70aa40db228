"""What people do with events in the quarantine: discard, restore, replay, send elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.engine.services import commands_enqueue
from apps.payments.contracts import QUARANTINED, QuarantineState
from apps.payments.models import QuarantinedEvent
from apps.payments.services.payloads import newest_version
from apps.payments.services.quarantine import states_move
from apps.payments.services.replaying import carry_on, check_open, check_payload, event_locked
from apps.streams.selectors import messages_of
from apps.streams.services.sending import message_send

DISCARD = "payments.discard_quarantinedevent"
REPLAY = "payments.replay_quarantinedevent"


def event_discard(*, row_id: UUID | str, by: User, via: str, reason: str) -> QuarantinedEvent:
    """Discard an open event; nobody will carry it on. Again it changes nothing.

    Raises, each audited: NotFound `quarantined_event_not_found`; NotAllowed `permission_denied`;
    Invalid `reason_required`, `reason_invalid`; Conflict `already_replaying`, `already_settled`.
    """
    with acting("discard", row_id, by=by, via=via, permission=DISCARD) as row:
        reason = clean_reason(reason)
        if not reason:
            raise Invalid(_("Say why it is discarded."), code="reason_required")
        if row.state != QuarantineState.DISCARDED:
            check_open(row)
            _move(row, QuarantineState.DISCARDED)
            record(row, "discarded", by=by, via=via, reason=reason)
    return row


def event_restore(*, row_id: UUID | str, by: User, via: str, reason: str = "") -> QuarantinedEvent:
    """Take a discarding back; again it changes nothing. Raises as `event_discard`, and Conflict
    `event_waits_elsewhere` when the event waits in another row meanwhile, `payload_deleted`."""
    with acting("restore", row_id, by=by, via=via, permission=DISCARD) as row:
        reason = clean_reason(reason)
        if row.state != QuarantineState.OPEN:
            if row.state != QuarantineState.DISCARDED:
                check_open(row)
            check_payload(row)
            try:
                with transaction.atomic():
                    _move(row, QuarantineState.OPEN)
            except IntegrityError:
                raise Conflict(
                    _("The event waits in another row."), code="event_waits_elsewhere"
                ) from None
            record(row, "restored", by=by, via=via, reason=reason)
    return row


def event_replay(*, row_id: UUID | str, by: User, via: str, reason: str = "") -> QuarantinedEvent:
    """Carry an open event on, in its newest signed version: its workflow is started again under the
    same id. Row, intake and start commit together, so that of two who replay it one does.

    Raises, each audited: NotFound `quarantined_event_not_found`; NotAllowed `permission_denied`;
    Conflict `already_replaying`, `already_settled`, `not_replayable` (it is no readable event: edit
    it), `event_known` (another event has its id), `event_waits_elsewhere`.
    """
    with acting("replay", row_id, by=by, via=via, permission=REPLAY) as row:
        reason = clean_reason(reason)
        check_open(row)
        version = newest_version(row)
        commands_enqueue([carry_on(row, version, now=timezone.now())])
        record(row, "replayed", by=by, via=via, version=version.number, reason=reason)
        failpoint("event_replay.uncommitted")
    return row


def event_retarget(
    *, row_id: UUID | str, topic: str, by: User, via: str, reason: str
) -> QuarantinedEvent:
    """Send an open event to one of REPLAY_TOPICS, with its bytes, key and headers as they came, and
    end its row: another program deals with it. Again, for the same topic, it changes nothing.

    Row and message commit together. Raises, each audited: NotFound `quarantined_event_not_found`;
    NotAllowed `permission_denied`; Invalid `topic_not_allowed`, `reason_required`,
    `reason_invalid`; Conflict `already_replaying`, `already_settled`, `content_not_kept`.
    """
    with acting("retarget", row_id, by=by, via=via, permission=REPLAY) as row:
        if topic not in settings.REPLAY_TOPICS:
            raise Invalid(_("Events may not be sent to this topic."), code="topic_not_allowed")
        reason = clean_reason(reason)
        if not reason:
            raise Invalid(_("Say why it is sent there."), code="reason_required")
        key_once = f"{QUARANTINED}:{row.pk}:retarget"
        if (
            row.state == QuarantineState.RETARGETED
            and messages_of(QUARANTINED, row.pk).filter(key_once=key_once, topic=topic).exists()
        ):
            return row
        check_open(row)
        if row.size and row.raw is None:
            raise Conflict(_("Its content is not kept."), code="content_not_kept")
        message_send(
            key_once=key_once,
            broker=settings.PAYMENTS_SOURCE,
            topic=topic,
            value=None if row.raw is None else bytes(row.raw),
            key=None if row.key is None else bytes(row.key),
            headers=row.headers,
            subject_type=QUARANTINED,
            subject_id=str(row.pk),
        )
        _move(row, QuarantineState.RETARGETED)
        record(row, "retargeted", by=by, via=via, topic=topic, reason=reason)
        failpoint("event_retarget.uncommitted")
    return row


# --- for all who act on an event ------------------------------------------------------------------
@contextmanager
def acting(
    verb: str, row_id: UUID | str, *, by: User, via: str, permission: str
) -> Iterator[QuarantinedEvent]:
    """Open a transaction, check that the user may act, and lock the event's row. Raises, audited
    like everything the caller raises: NotAllowed `permission_denied`, NotFound
    `quarantined_event_not_found`."""
    about = {"subject_type": QUARANTINED, "subject_id": str(row_id)[:80]}
    with refusals(action=f"{QUARANTINED}.{verb}", by=by, via=via, **about):
        if not by.has_perm(permission):
            raise NotAllowed(_("You may not do this."), code="permission_denied")
        with transaction.atomic(durable=True):
            yield event_locked(row_id)


def _move(row: QuarantinedEvent, state: QuarantineState) -> None:
    states_move(QuarantinedEvent.objects.filter(pk=row.pk), state, timezone.now())
    row.state = state


def record(row: QuarantinedEvent, verb: str, *, by: User, via: str, **body: object) -> None:
    entry_record(
        action=f"{QUARANTINED}.{verb}",
        subject_type=QUARANTINED,
        subject_id=str(row.pk),
        by=by,
        via=via,
        body={"event_id": row.event_id, "code": row.code, **body},
    )
