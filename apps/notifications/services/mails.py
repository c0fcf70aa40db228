"""Sends waiting e-mails, each at most once.

`leased` is committed before the connection, `handing_over` before the message itself is sent. After
a kill the row therefore says whether the message may be sent again (`leased`) or may have been
accepted (`handing_over`, which becomes `unknown`).
"""

import secrets
from datetime import datetime, timedelta
from random import uniform
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common import correlation
from apps.common.errors import Conflict, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.notifications import kinds
from apps.notifications.mailer import Away, Doubtful, Refused, Server, address_of, compose
from apps.notifications.models import Mail, NotificationSetting
from apps.notifications.services.queueing import files_of
from apps.notifications.signals import mail_changed

logger = correlation.get_logger(__name__)

BATCH = 20
#: Longer than any step towards the mail server takes (settings.EMAIL_TIMEOUT each).
LEASE = timedelta(seconds=120)
FIRST_WAIT, LONGEST_WAIT = 5.0, 900.0
#: A mail server that stays away for so long gets no mail about that time any more.
GIVE_UP = timedelta(days=3)

_S = Mail.State


def mails_deliver(*, limit: int = BATCH) -> int:
    """Send up to `limit` due e-mails; returns how many were claimed.

    Outermost verb of the relay's leader; simultaneous calls take different rows. Nothing is sent
    twice: a message that may have been accepted is never resent by itself. While the server is away
    or e-mail is off everything waits; a permanent refusal fails the row with the server's text.
    """
    if not settings.EMAIL_ENABLED:
        return 0
    mails_recover(as_of=timezone.now())
    lease = secrets.token_hex(16)
    mails = _claim(lease, limit)
    if not mails:
        return 0
    unwanted = _unwanted(mails)
    server = Server()
    try:
        server.open()
        is_open, why = True, ""
    except Away as error:
        is_open, why = False, str(error)
        logger.warning("the mail server is away", error=why, waiting=len(mails))
    try:
        for mail in mails:
            if reason := unwanted.get(mail.pk):
                _settle(mail, _S.DROPPED, error=reason)
                continue
            if not is_open:
                _later(mail, why)
                continue
            try:
                _send(server, mail)
            except (Away, Doubtful) as error:
                # Both mean that this connection is over; the next message gets a new one.
                is_open, why = False, str(error)
                _end(mail, error)
                server.close()
                try:
                    server.open()
                    is_open = True
                except Away as gone:
                    why = str(gone)
    finally:
        server.close()
    return len(mails)


def mails_recover(*, as_of: datetime) -> None:
    """Release the rows of a dead sender: `leased` becomes pending, `handing_over` unknown."""
    over = Mail.objects.filter(leased_until__lt=as_of)
    over.filter(state=_S.LEASED).update(state=_S.PENDING, lease="", leased_until=None)
    with transaction.atomic():
        doubtful = list(over.filter(state=_S.HANDING_OVER).select_for_update(skip_locked=True))
        Mail.objects.filter(pk__in=[mail.pk for mail in doubtful]).update(
            state=_S.UNKNOWN,
            error="The sender ended while the mail server was being handed the message.",
            leased_until=None,
        )
        for mail in doubtful:
            _tell(mail, _S.UNKNOWN)
    if doubtful:
        logger.error("e-mails may have been sent or not", alert=True, count=len(doubtful))


def mail_send_again(*, mail_id: int, by: Actor, reason: str, via: str = "admin") -> Mail:
    """Put an e-mail that failed, was dropped, or was perhaps sent back into the queue.

    It keeps its Message-ID: a mailbox that has it already may recognise it. Raises NotFound,
    Conflict `not_resendable`; each audited.
    """
    record: dict[str, Any] = {
        "action": "mail.send_again",
        "subject_type": "mail",
        "subject_id": mail_id,
        "by": by,
        "via": via,
    }
    with refusals(**record), transaction.atomic(durable=True):
        mail = Mail.objects.select_for_update().filter(pk=mail_id).first()
        if mail is None:
            raise NotFound(_("There is no such e-mail."))
        if mail.state not in (_S.FAILED, _S.UNKNOWN, _S.DROPPED):
            raise Conflict(
                filled(_("It is {get_state_display}."), get_state_display=mail.get_state_display()),
                code="not_resendable",
            )
        before, mail.state = mail.state, _S.PENDING
        mail.attempts, mail.error, mail.lease = 0, "", ""
        mail.next_try_at = timezone.now()
        mail.save(update_fields=["state", "attempts", "error", "lease", "next_try_at"])
        entry_record(**record, body={"was": before, "reason": reason, "key": mail.key})
        _tell(mail, _S.PENDING)
    return mail


def _claim(lease: str, limit: int) -> list[Mail]:
    now = timezone.now()
    with transaction.atomic(durable=True):
        due = Mail.objects.select_for_update(skip_locked=True).filter(
            state=_S.PENDING, next_try_at__lte=now
        )
        ids = list(due.order_by("next_try_at", "pk").values_list("pk", flat=True)[:limit])
        if ids:
            Mail.objects.filter(pk__in=ids).update(
                state=_S.LEASED,
                lease=lease,
                leased_until=now + LEASE,
                attempts=F("attempts") + 1,
            )
    return list(
        Mail.objects.filter(pk__in=ids).select_related("recipient").order_by("next_try_at", "pk")
    )


def _unwanted(mails: list[Mail]) -> dict[int, str]:
    """The reason not to send a message any more, because something changed since it was written."""
    off = set(
        NotificationSetting.objects.filter(
            user__in={mail.recipient_id for mail in mails} - {None}, email=False
        ).values_list("user_id", "kind")
    )
    reasons: dict[int, str] = {}
    for mail in mails:
        kind = kinds.get(mail.kind)
        person: User | None = mail.recipient
        if person is not None and not person.is_active:
            reasons[mail.pk] = "The person is not active any more."
        elif person is not None and (person.pk, kind.name) in off:
            reasons[mail.pk] = "The person does not want these by e-mail any more."
        elif kind.relevant is not None and not kind.relevant(_own_key(mail)):
            reasons[mail.pk] = "It was no longer true when it could be sent."
    return reasons


def _own_key(mail: Mail) -> str:
    """The key as the caller gave it: with a login it has the person behind it."""
    return mail.key if mail.recipient_id is None else mail.key.rpartition(":")[0]


def _send(server: Server, mail: Mail) -> None:
    """Send one message and settle its row. Raises Away and Doubtful without settling it."""
    to = mail.address if mail.recipient is None else mail.recipient.email
    try:
        address = address_of(to)
        message = compose(mail, name=mail.person, address=address, files=files_of(mail))
    except (ValidationError, UnicodeError):
        _settle(mail, _S.FAILED, error="The person's address is not an e-mail address.")
        return
    except Conflict as error:
        logger.error("an attached file differs from its digest", alert=True, mail_id=mail.pk)
        _settle(mail, _S.FAILED, error=error.recorded)
        return
    mail.address = to
    try:
        if server.hand_over(message, address=address, about_to=lambda: _about_to(mail)):
            _settle(mail, _S.SENT, sent_at=timezone.now())
    except Refused as error:
        if error.permanent:
            logger.warning("an e-mail was refused", mail_id=mail.pk, error=str(error))
            _settle(mail, _S.FAILED, error=str(error))
        else:
            _later(mail, str(error))


def _end(mail: Mail, error: Exception) -> None:
    if isinstance(error, Doubtful):
        logger.error("an e-mail may have been sent or not", alert=True, mail_id=mail.pk)
        _settle(mail, _S.UNKNOWN, error=f"No answer to the message: {error}")
    else:
        _later(mail, str(error))


def _about_to(mail: Mail) -> bool:
    """Commit `handing_over`. False when another sender holds the lease by now."""
    now = timezone.now()
    return bool(
        Mail.objects.filter(
            pk=mail.pk, lease=mail.lease, state=_S.LEASED, leased_until__gt=now
        ).update(state=_S.HANDING_OVER, leased_until=now + LEASE, address=mail.address)
    )


def _later(mail: Mail, error: str) -> None:
    if timezone.now() - mail.created_at > GIVE_UP:
        logger.error("an e-mail was given up", alert=True, mail_id=mail.pk, error=error)
        _settle(mail, _S.FAILED, error=f"Given up: {error}")
        return
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(mail.attempts - 1, 10)) * uniform(0.8, 1.2)  # noqa: S311
    _settle(mail, _S.PENDING, error=error, next_try_at=timezone.now() + timedelta(seconds=wait))


def _settle(mail: Mail, state: Mail.State, *, error: str = "", **changes: Any) -> None:
    """Only while the row is in our hand: also after its lease was taken for lost, since we know
    better what became of it, but never once somebody has put it back into the queue."""
    with transaction.atomic():
        settled = Mail.objects.filter(
            pk=mail.pk, lease=mail.lease, state__in=(_S.LEASED, _S.HANDING_OVER, _S.UNKNOWN)
        ).update(state=state, error=error[:5000], leased_until=None, **changes)
        if settled and state != _S.PENDING:
            _tell(mail, state)


def _tell(mail: Mail, state: Mail.State) -> None:
    """Tell the app whose subject the e-mail is about. What a receiver raises is logged: that the
    message was sent must be kept, whatever the app makes of it."""
    if not mail.subject_type:
        return
    try:
        with transaction.atomic():
            mail_changed.send(
                Mail,
                subject_type=mail.subject_type,
                subject_id=mail.subject_id,
                key=mail.key,
                state=str(state),
            )
    except Exception as error:
        logger.exception("a receiver of mail_changed broke", mail_id=mail.pk, error=repr(error))
