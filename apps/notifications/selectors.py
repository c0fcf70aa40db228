"""Reads for apps above."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.common.compiled import Compiled
from apps.notifications.models import Mail, Notification

if TYPE_CHECKING:
    from apps.accounts.models import User


def unread(user: "User") -> QuerySet[Notification]:
    """What the person was told and has not read yet."""
    return Notification.objects.filter(recipient=user, read_at=None)


def unread_count(user: "User", *, most: int) -> int:
    """How many notifications are unread, `most` at most."""
    return _first_unread(most).count(user=user.pk)


@cache
def _first_unread(most: int) -> Compiled[Notification]:
    # Every page shows the count.
    return Compiled(lambda user: unread(user).order_by().only("pk")[:most])


@dataclass(frozen=True)
class MailSeen:
    """An e-mail about a subject, as a page of that subject shows it. `state` is one of Mail.State,
    `words` the same for people; `error` is why it was not sent, or perhaps."""

    id: int
    key: str
    name: str
    address: str
    title: str
    state: str
    words: str
    error: str
    created_at: datetime
    sent_at: datetime | None
    files: tuple[str, ...]


def mails_about(subject_type: str, subject_id: object, *, most: int = 20) -> list[MailSeen]:
    """Return the newest e-mails to people without a login about a subject, at most so many. Two
    queries. The signal `mail_changed` says when one of them has changed."""
    rows = Mail.objects.filter(subject_type=subject_type, subject_id=str(subject_id))
    return [
        MailSeen(
            id=mail.pk,
            key=mail.key,
            name=mail.name,
            address=mail.address,
            title=mail.title,
            state=mail.state,
            words=mail.get_state_display(),
            error=mail.error,
            created_at=mail.created_at,
            sent_at=mail.sent_at,
            files=tuple(one.name for one in mail.attachments.all()),
        )
        for mail in rows.exclude(subject_type="")
        .order_by("-pk")
        .prefetch_related("attachments")[:most]
    ]
