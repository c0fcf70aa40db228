"""Reads for apps above."""

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from apps.notifications.models import Notification

if TYPE_CHECKING:
    from apps.accounts.models import User


def unread(user: "User") -> QuerySet[Notification]:
    """What the person was told and has not read yet."""
    return Notification.objects.filter(recipient=user, read_at=None)
