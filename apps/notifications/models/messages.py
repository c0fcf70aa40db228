"""Notifications of people, notices for groups, and each person's settings."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.language import lazy as _


class Notification(models.Model):
    """One message to one person. `key` is unique, so the same event is told once."""

    class Channel(models.TextChoices):
        IN_APP = "in_app", _("In the site")

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    key = models.CharField(max_length=200, unique=True)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications"
    )
    channel = models.CharField(max_length=10, choices=Channel, default=Channel.IN_APP)
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                name="notification_unread", fields=["recipient", "-id"], condition=Q(read_at=None)
            ),
            models.Index(fields=["recipient", "-id"]),
            # The order of the page; without it a person with a million rows waits for a sort.
            models.Index(name="notification_page", fields=["recipient", "-created_at", "-id"]),
        ]

    def __str__(self) -> str:
        return self.title


class GroupNotice(models.Model):
    """One message to everybody of a group, written in one row by who decides and fanned out to
    rows per person later."""

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        STALE = "stale", _("No longer true when its turn came")

    key = models.CharField(max_length=150, unique=True)
    group = models.CharField(max_length=150)
    exclude = ArrayField(models.BigIntegerField(), default=list, help_text="People left out")
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    told = models.PositiveIntegerField(default=0, help_text="People who were told")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(name="group_notice_pending", fields=["id"], condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.title} → {self.group}"


class NotificationSetting(models.Model):
    """A person's setting for one kind. Without a row the kind's defaults apply."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_settings"
    )
    kind = models.CharField(max_length=60)
    in_app = models.BooleanField(default=True)
    email = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "kind"], name="notification_setting_once")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.kind}"
