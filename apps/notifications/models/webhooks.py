"""Webhook endpoints and deliveries."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.identifiers import new_id
from apps.common.language import lazy as _

MANAGE_PERMISSION = "notifications.manage_webhookendpoint"
#: An endpoint that asks for this event gets all.
EVERY_EVENT = "*"


class WebhookEndpoint(models.Model):
    """The address of a program that receives events. Its secret is encrypted and shown once.

    `failures` counts since the last success; until `not_before` nothing is sent there.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True)
    events = ArrayField(models.CharField(max_length=60), help_text="Names, or * for all")
    active = models.BooleanField(default=True)
    why_inactive = models.CharField(max_length=200, blank=True)
    secret_sealed = models.TextField(editable=False)
    previous_sealed = models.TextField(blank=True, editable=False)
    previous_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then messages are signed with the old secret too"
    )
    failures = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("manage_webhookendpoint", "Can manage webhooks")]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="webhook_deleted_is_inactive", condition=Q(deleted_at=None) | Q(active=False)
            )
        ]
        indexes = [
            GinIndex(fields=["events"], name="webhook_events", condition=Q(active=True)),
        ]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One event for one endpoint, once. `body` is what is signed and sent, byte by byte the same
    on every try; `message_id` tells the receiver that it has seen it."""

    class State(models.TextChoices):
        PENDING = "pending", _("waits")
        SENDING = "sending"
        DELIVERED = "delivered"
        FAILED = "failed"

    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.PROTECT, related_name="deliveries"
    )
    message_id = models.CharField(max_length=60)
    event = models.CharField(max_length=60)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    give_up_at = models.DateTimeField()
    lease = models.CharField(max_length=32, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    status = models.PositiveIntegerField(null=True, blank=True, help_text="Of the last answer")
    answer = models.TextField(blank=True, help_text="The beginning of the last answer")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = _("webhook deliveries")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "message_id"], name="webhook_delivered_once"
            )
        ]
        indexes = [
            models.Index(
                name="webhook_due",
                fields=["endpoint", "next_try_at", "id"],
                condition=Q(state="pending"),
            ),
            models.Index(name="webhook_sending", fields=["endpoint"], condition=Q(state="sending")),
            models.Index(fields=["endpoint", "-created_at", "-id"]),
            models.Index(fields=["-created_at", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.message_id}"
