"""Notifies people: in the site at once, by e-mail after the commit, as their settings say."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.common.language import for_record
from apps.live.broadcast import broadcast
from apps.notifications import kinds
from apps.notifications.models import GroupNotice, Notification, NotificationSetting

#: One statement for the people, their settings, the rows in the site and the e-mails: this runs
#: inside decisions. Sorted, so that two at once wait for each other in the same order.
_TELL = """
WITH person AS (
    SELECT u.id, u.is_active AND u.email <> '' AND %(email_on)s
            AND COALESCE(s.email, %(email)s) AS by_email,
        NOT %(mutable)s OR COALESCE(s.in_app, TRUE) AS in_app
    FROM accounts_user u
    LEFT JOIN notifications_notificationsetting s ON s.user_id = u.id AND s.kind = %(family)s
    WHERE u.id = ANY(%(people)s)
),
mailed AS (
    INSERT INTO notifications_mail
        (key, recipient_id, address, name, language, subject_type, subject_id, kind, title, text,
         url, state, attempts, next_try_at, lease, error, created_at)
    SELECT %(key)s || ':' || id, id, '', '', '', '', '', %(kind)s, %(title)s, %(text)s,
        %(url)s, 'pending', 0, %(now)s, '', '', %(now)s
    FROM person WHERE by_email ORDER BY id
    ON CONFLICT (key) DO NOTHING
)
INSERT INTO notifications_notification
    (key, recipient_id, channel, kind, title, text, url, state, created_at, delivered_at)
SELECT %(key)s || ':' || id, id, 'in_app', %(kind)s, %(title)s, %(text)s, %(url)s, 'delivered',
    %(now)s, %(now)s
FROM person WHERE in_app ORDER BY id
ON CONFLICT (key) DO NOTHING
RETURNING recipient_id, id
"""


def notify(
    *,
    key: str,
    recipients: Iterable[User],
    kind: str,
    title: str,
    text: str = "",
    url: str = "",
) -> None:
    """Tell each recipient once per `key`: in the site at once, by e-mail after the commit, each as
    the person's settings want it. `url` is a path of this site.

    Joins the caller's transaction: nobody is told of what was rolled back. Again, or two at once,
    changes nothing: the unique key is the person's own. Long texts are cut to their columns; people
    who do not exist are left out. One query.
    """
    people = [user.pk for user in recipients if user.pk is not None]
    if people:
        people_tell(key=key, people=people, kind=kind, title=title, text=text, url=url)


def account_told(
    sender: object, *, user: User, key: str, title: str, text: str, **_: object
) -> None:
    """Receiver of `account_touched`: notify the user. Joins the caller's transaction."""
    notify(
        key=key,
        recipients=[user],
        kind="account.touched",
        title=title,
        text=text,
        url=reverse("account_security"),
    )


def people_tell(
    *, key: str, people: list[int], kind: str, title: str, text: str, url: str
) -> list[int]:
    """As `notify`, by ids; the ids of those who got a new row in the site."""
    known = kinds.get(kind)
    with connection.cursor() as cursor:
        cursor.execute(
            _TELL,
            {
                "key": key,
                "people": people,
                "kind": kind[:60],
                "family": known.name[:60],
                "title": _plain(title)[:200],
                "text": _plain(text)[:5000],
                "url": url[:300],
                "email": known.email,
                "email_on": settings.EMAIL_ENABLED,
                "mutable": known.mutable,
                "now": timezone.now(),
            },
        )
        told = cursor.fetchall()
    for recipient, number in told:
        broadcast(f"person:{recipient}", id=str(recipient), version=number)
    return [recipient for recipient, _ in told]


def notify_group(
    *,
    key: str,
    group: str,
    kind: str,
    title: str,
    text: str = "",
    url: str = "",
    exclude: Iterable[int] = (),
) -> None:
    """Tell the people of a group who may act on it (the kind's permission), but for `exclude`.

    Joins the caller's transaction with one row; the relay's leader makes the rows per person within
    a second or so, for who is in the group then. Idempotent by `key`.
    """
    GroupNotice.objects.bulk_create(
        [
            GroupNotice(
                key=key,
                group=group,
                exclude=sorted(set(exclude)),
                kind=kind[:60],
                title=_plain(title)[:200],
                text=_plain(text)[:5000],
                url=url[:300],
            )
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
    changed = unread.update(read_at=as_of)
    if changed:
        broadcast(f"person:{user.pk}", id=str(user.pk), version=0)
    return changed


# --- what each person wants ---------------------------------------------------------------------
@dataclass(frozen=True)
class Choice:
    """A person's setting for one kind."""

    kind: str
    title: str
    in_app: bool
    email: bool
    mutable: bool


def settings_of(user: User) -> list[Choice]:
    """What the person gets of every kind that can reach them: as they chose, else its defaults."""
    chosen = {row.kind: row for row in NotificationSetting.objects.filter(user=user)}
    return [
        Choice(
            kind=kind.name,
            title=kind.title,
            in_app=not kind.mutable or (chosen[kind.name].in_app if kind.name in chosen else True),
            email=chosen[kind.name].email if kind.name in chosen else kind.email,
            mutable=kind.mutable,
        )
        for kind in _for(user)
    ]


def settings_put(*, user: User, in_app: Iterable[str], email: Iterable[str]) -> None:
    """Save the person's settings: the names of the kinds told in the site and by e-mail.

    Unknown names are ignored; kinds that cannot be switched off stay on. Of two simultaneous calls
    the later one wins. Waiting e-mails of a kind that was switched off are dropped.
    """
    site, mail = set(in_app), set(email)
    NotificationSetting.objects.bulk_create(
        [
            NotificationSetting(
                user=user,
                kind=kind.name,
                in_app=not kind.mutable or kind.name in site,
                email=kind.name in mail,
            )
            for kind in sorted(_for(user), key=lambda kind: kind.name)
        ],
        update_conflicts=True,
        unique_fields=["user", "kind"],
        update_fields=["in_app", "email"],
    )


def _for(user: User) -> list[kinds.NotificationKind]:
    return [
        kind
        for kind in kinds.registered()
        if kind.in_settings and (not kind.permission or user.has_perm(kind.permission))
    ]


def _plain(text: str) -> str:
    """In the site's language, without what PostgreSQL cannot keep."""
    return storable(for_record(text))


def storable(text: str) -> str:
    """Return the text without what PostgreSQL cannot keep."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
