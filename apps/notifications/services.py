"""Telling people. Every message is a row with its delivery state."""

from collections.abc import Iterable
from datetime import datetime

from django.utils import timezone

from apps.accounts.models import User
from apps.notifications.models import Notification


def notify(
    *,
    key: str,
    recipients: Iterable[User],
    kind: str,
    title: str,
    text: str = "",
    url: str = "",
) -> None:
    """Tell each recipient once per `key`, in the site, where a message is delivered at once.

    Joins the caller's transaction: nobody is told of what was rolled back. Again, or two at once,
    changes nothing: the unique key is the person's own. Long texts are cut to their columns.
    """
    now = timezone.now()
    Notification.objects.bulk_create(
        [
            Notification(
                key=f"{key}:{recipient.pk}",
                recipient=recipient,
                channel=Notification.Channel.IN_APP,
                kind=kind[:60],
                title=title[:200],
                text=text[:5000],
                url=url[:300],
                state=Notification.State.DELIVERED,
                delivered_at=now,
            )
            for recipient in recipients
        ],
        ignore_conflicts=True,
    )


def notifications_mark_read(
    *, user: User, ids: Iterable[int] | None = None, as_of: datetime
) -> int:
    """Mark the person's own messages as read: those of `ids`, or all. Returns how many were unread.

    Again changes nothing; other people's messages are left alone.
    """
    unread = Notification.objects.filter(recipient=user, read_at=None)
    if ids is not None:
        unread = unread.filter(pk__in=list(ids))
    return unread.update(read_at=as_of)
