"""Fans a notice for a group out to one notification for each of its people."""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.accounts.models import User
from apps.notifications import kinds
from apps.notifications.models import GroupNotice
from apps.notifications.services.notifying import people_tell

#: with_perm wants to be told when there are several ways to sign in.
_BACKEND = "django.contrib.auth.backends.ModelBackend"


def notices_fan_out(*, limit: int = 50) -> int:
    """Fan out up to `limit` waiting notices; returns how many were done.

    Outermost verb. One transaction for each notice: after a kill it waits as before. Simultaneous
    calls take different notices. The group's present members are told, not those at writing time.
    """
    for done in range(limit):
        with transaction.atomic(durable=True):
            notice = (
                GroupNotice.objects.select_for_update(skip_locked=True)
                .filter(state=GroupNotice.State.PENDING)
                .order_by("pk")
                .first()
            )
            if notice is None:
                return done
            kind = kinds.get(notice.kind)
            if kind.relevant is not None and not kind.relevant(notice.key):
                notice.state = GroupNotice.State.STALE
            else:
                people = list(_people(notice, kind).values_list("pk", flat=True))
                if kind.also is not None:
                    acting = set(kind.also(notice.key, people)) - set(notice.exclude)
                    people = sorted(acting | set(people))
                people_tell(
                    key=notice.key,
                    people=people,
                    kind=notice.kind,
                    title=notice.title,
                    text=notice.text,
                    url=notice.url,
                )
                notice.state = GroupNotice.State.DONE
                notice.told = len(people)
            notice.done_at = timezone.now()
            notice.save(update_fields=["state", "told", "done_at"])
    return limit


def _people(notice: GroupNotice, kind: kinds.NotificationKind) -> "QuerySet[User]":
    """The group's active members with the kind's permission, except those excluded."""
    if kind.permission:
        able = User.objects.with_perm(kind.permission, is_active=True, backend=_BACKEND)
    else:
        able = User.objects.filter(is_active=True)
    members = User.groups.through.objects.filter(group__name=notice.group).values("user_id")
    return able.filter(pk__in=members).exclude(pk__in=notice.exclude).order_by("pk")
