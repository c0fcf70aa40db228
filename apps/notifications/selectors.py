"""Reads for apps above."""

from functools import cache
from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.common.compiled import Compiled
from apps.notifications.models import Notification

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
