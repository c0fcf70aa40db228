"""Messages for topics, written in the transactions that decide them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.language import lazy as _


class OutgoingMessage(models.Model):
    """A message that a topic is to get. The relay's leader sends it; `key_once` makes the same
    decision send one. Its content is kept until it is sent."""

    BROKERS = ("kafka", "redis")

    key_once = models.CharField(max_length=200, unique=True)
    broker = models.CharField(max_length=10, choices=[(name, name) for name in BROKERS])
    topic = models.CharField(max_length=249)
    value = models.BinaryField(null=True, blank=True)
    key = models.BinaryField(null=True, blank=True)
    headers = models.JSONField(
        default=list, blank=True, help_text="Name and value in base64, or null; in their order."
    )
    subject_type = models.CharField(max_length=60, blank=True)
    subject_id = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    next_try_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    sent_at = models.DateTimeField(null=True, blank=True)
    place = models.CharField(
        max_length=60, blank=True, help_text="Partition and offset, or the entry's id."
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("outgoing message")
        indexes = [
            models.Index(
                fields=["broker", "next_try_at", "id"],
                condition=Q(sent_at=None),
                name="outgoing_due",
            ),
            models.Index(fields=["subject_type", "subject_id"], name="outgoing_of_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.key_once}"
