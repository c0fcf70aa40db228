"""Codes that prove that whoever asks for a key has its phone or mailbox.

Six digits, for ten minutes and five tries. Kept as an HMAC with the site's secret key: a slow
password hash protects a million values from nobody, and costs a second of every try, while without
the secret key the hashes in a stolen database say nothing.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext

from apps.accounts import throttle
from apps.accounts.models import User
from apps.accounts.throttle import Limit
from apps.audit.contracts import Actor
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, TooMany
from apps.common.failpoints import failpoint
from apps.common.identifiers import uuid_of
from apps.common.language import lazy as _
from apps.engine import process, steps
from apps.notifications.services import address_checked, mail_queue
from apps.pix import phone_codes
from apps.pix.contracts import ENTRY_CHANGE, ChangeKind, ChangeStatus, EntryStatus, KeyType
from apps.pix.contracts.entries import SIGNAL_POSSESSION, Step
from apps.pix.keys import masked_key
from apps.pix.models import Entry, EntryChange, PossessionCode
from apps.pix.services.entry_ending import EXPIRED, end
from apps.pix.services.entry_rows import (
    PROCESS,
    StepStatus,
    change_lock,
    change_record,
    entry_lock,
    entry_named,
    entry_save,
)

CHANGE = "pix.change_keys"
LIVES = timedelta(minutes=10)
MOST_TRIES = 5
#: Another code can be asked for after this, and so many an hour go to one phone or mailbox,
#: whoever asks: it may be a stranger's.
PAUSE = timedelta(seconds=60)
MOST_CODES, HOUR = 5, 3600


@contextmanager
def code_counted(key_type: str, key: str) -> Iterator[list[bool]]:
    """Count a code for the phone or mailbox, unless none is sent inside: what is refused, or was
    asked for before, costs nobody a code. Yields a list to which the caller adds that one was sent.

    Outside of a transaction. Raises Invalid `possession_unavailable` where nothing can be sent to
    it, TooMany after MOST_CODES in an hour.
    """
    _check_can_be_sent(key_type, key)
    limit = Limit("pix-code", f"{key_type}:{key}", MOST_CODES, HOUR)
    refused = throttle.consume(limit)
    if refused is not None:
        raise TooMany(
            _("Too many codes were sent there. Wait before the next."),
            retry_after=refused.retry_after,
        )
    sent: list[bool] = []
    try:
        yield sent
    finally:
        if not sent:
            throttle.give_back(limit)


def code_send(change: EntryChange, *, by: User, as_of: datetime) -> None:
    """Make a code and queue it for the phone or mailbox of the change's entry; an older one ends.
    Joins the caller's transaction."""
    digits = f"{secrets.randbelow(10**6):06d}"
    PossessionCode.objects.update_or_create(
        change=change,
        defaults={
            "hashed": _hashed(change, digits),
            "tries": 0,
            "sent_at": as_of,
            "expires_at": as_of + LIVES,
        },
    )
    steps.step_put(change, Step.POSSESSION, StepStatus.RUNNING)
    entry, key = change.entry, f"entry_change:{change.pk}:code:{as_of.timestamp():.6f}"
    text = gettext("{code} is your code for a Pix key. It ends in 10 minutes.").format(code=digits)
    if entry.key_type == KeyType.EMAIL:
        mail_queue(
            key=key,
            address=entry.key,
            name=entry.name,
            title=gettext("Your code for a Pix key"),
            text=text,
            by=by,
            subject_type=ENTRY_CHANGE,
            subject_id=change.pk,
            kind="entry_change.code",
        )
    elif send := phone_codes.sender():
        send(phone=entry.key, text=text, key=key, by=by)
    change_record(change, "entry_change.code_sent", by=by, via="engine", to=_to(entry))


def code_renew(*, entry_id: object, by: User, via: str, as_of: datetime) -> EntryChange:
    """Send another code for a key that waits for one; the one before it ends.

    Raises, each audited: NotFound; NotAllowed `permission_denied`; Conflict
    `possession_not_waiting`, `possession_code_fresh` (less than a minute old); Invalid
    `possession_unavailable`; TooMany.
    """
    with process.audited(PROCESS, "code", by=by, via=via):
        entry = _may(entry_id, by)
        waiting = _waiting(entry)
        if waiting.code.sent_at > as_of - PAUSE:
            raise _fresh()
        with code_counted(entry.key_type, entry.key) as sent:
            with transaction.atomic(durable=True):
                change = change_lock(waiting.pk, "entry")
                code = _code(change)
                if code.sent_at > as_of - PAUSE:
                    raise _fresh()
                code_send(change, by=by, as_of=as_of)
                _wake(change, f"code:{as_of.timestamp():.6f}")
            sent.append(True)
        return change


def possession_prove(
    *, entry_id: object, code: str, by: User, via: str, as_of: datetime
) -> EntryChange:
    """Take the code that came to the phone or mailbox of a new key; the key then goes to the
    directory. The same code again, once it was right, changes nothing.

    A wrong one counts, also of many tries at once: with the fifth the change ends. Raises, each
    audited: NotFound; NotAllowed `permission_denied`; Invalid `possession_code_invalid` (extra
    tries_left); Conflict `possession_code_expired`, `possession_not_waiting`.
    """
    with process.audited(PROCESS, "possession", by=by, via=via):
        entry = _may(entry_id, by)
        change = _creation(entry)
        wrong: DomainError | None = None
        with transaction.atomic(durable=True):
            change = change_lock(change.pk, "entry")
            known = PossessionCode.objects.filter(change=change).first()
            if known is not None and known.proved_at and _matches(change, known, code):
                return change
            known = _code(change)
            if known.expires_at <= as_of:
                wrong = Conflict(_("The code has ended. Ask for another one."), code=EXPIRED)
            elif not _matches(change, known, code):
                # Kept although this is a refusal: tries that are rolled back would be free.
                wrong = _missed(change, known, by=by, via=via, as_of=as_of)
            else:
                _proved(change, known, by=by, via=via, as_of=as_of)
            failpoint("possession.uncommitted")
        if wrong is not None:
            raise wrong
        return change


def give_up(entry: Entry, *, by: Actor, via: str, note: str, as_of: datetime) -> EntryChange:
    """End the creation of a key whose code nobody will type; return its change. Raises Conflict
    `possession_not_waiting`."""
    with transaction.atomic(durable=True):
        change = change_lock(_creation(entry).pk, "entry")
        _code(change)
        end(
            change,
            ChangeStatus.CANCELLED,
            code="given_up",
            detail=note,
            as_of=as_of,
            by=by,
            via=via,
        )
        _wake(change, "given_up")
        return change


def code_relevant(key: str) -> bool:
    """Return whether a queued code can still be used: `NotificationKind.relevant`."""
    pk = uuid_of(key.split(":")[1]) if key.count(":") >= 2 else None
    found = PossessionCode.objects.filter(change=pk, proved_at=None).first() if pk else None
    return found is not None and key.endswith(f":{found.sent_at.timestamp():.6f}")


# --- helpers --------------------------------------------------------------------------------------
def _check_can_be_sent(key_type: str, key: str) -> None:
    if key_type == KeyType.PHONE and phone_codes.sender() is None:
        raise Invalid(
            _("This installation sends no codes to phones."), code="possession_unavailable"
        )
    if key_type == KeyType.EMAIL:
        try:
            address_checked(key)
        except Invalid:
            raise Invalid(
                _("No mail can be sent to this address."), code="possession_unavailable"
            ) from None


def _may(entry_id: object, by: User) -> Entry:
    entry = entry_named(entry_id)
    if not by.has_perm(CHANGE):
        raise NotAllowed(_("You may not prove who has keys."), code="permission_denied")
    return entry


def _creation(entry: Entry) -> EntryChange:
    rows = entry.changes.filter(kind=ChangeKind.CREATE).select_related("entry", "code")
    change = rows.order_by("-created_at").first()
    if change is None:
        raise _not_waiting()
    return change


def _waiting(entry: Entry) -> EntryChange:
    change = _creation(entry)
    if change.status != ChangeStatus.WAITING or not hasattr(change, "code"):
        raise _not_waiting()
    return change


def _code(change: EntryChange) -> PossessionCode:
    """Return the code of the locked change, if it is waited for."""
    found = PossessionCode.objects.filter(change=change).first()
    if change.status != ChangeStatus.WAITING or found is None:
        raise _not_waiting()
    return found


def _not_waiting() -> Conflict:
    return Conflict(_("No code is waited for."), code="possession_not_waiting")


def _fresh() -> Conflict:
    return Conflict(
        _("A code was sent a moment ago. Wait a minute for it."), code="possession_code_fresh"
    )


def _hashed(change: EntryChange, digits: str) -> str:
    return salted_hmac("pix.possession", f"{change.pk}:{digits}", algorithm="sha256").hexdigest()


def _matches(change: EntryChange, known: PossessionCode, code: object) -> bool:
    typed = code.strip() if isinstance(code, str) else ""
    return constant_time_compare(known.hashed, _hashed(change, typed))


def _missed(
    change: EntryChange, known: PossessionCode, *, by: User, via: str, as_of: datetime
) -> Invalid:
    known.tries += 1
    known.save(update_fields=["tries"])
    left = MOST_TRIES - known.tries
    if left <= 0:
        steps.step_put(change, Step.POSSESSION, StepStatus.FAILED)
        end(
            change,
            ChangeStatus.FAILED,
            code="possession_code_invalid",
            detail=gettext("A wrong code was typed five times."),
            as_of=as_of,
            by=by,
            via=via,
        )
        _wake(change, "missed")
    return Invalid(
        _("This is not the code that was sent."),
        code="possession_code_invalid",
        tries_left=max(left, 0),
    )


def _proved(
    change: EntryChange, known: PossessionCode, *, by: User, via: str, as_of: datetime
) -> None:
    known.proved_at = as_of
    known.save(update_fields=["proved_at"])
    change.status = ChangeStatus.RUNNING
    steps.step_save(PROCESS, change, Step.POSSESSION, StepStatus.DONE, fields=("status",))
    entry = entry_lock(change.entry_id)
    entry.status = EntryStatus.PENDING
    entry_save(entry, "status", as_of=as_of)
    change.entry = entry
    change_record(change, "entry_change.possession_proved", by=by, via=via)
    _wake(change, "proved")


def _wake(change: EntryChange, event: str) -> None:
    process.wake(PROCESS, change, signal=SIGNAL_POSSESSION, event=event)


def _to(entry: Entry) -> str:
    return masked_key(entry.key_type, entry.key)
