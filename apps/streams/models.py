"""Messages for topics, written in the transactions that decide them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.identifiers import new_id
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


class OutTopic(models.Model):
    """How far the events of a topic are numbered. Who numbers or sends them holds its lock, so that
    of two leaders, for the moment of a change, one does."""

    topic = models.CharField(max_length=249, unique=True)
    position = models.PositiveBigIntegerField(
        default=0, help_text="The highest that was given. It outlives the events."
    )

    class Meta:
        ordering = ["topic"]
        verbose_name = _("topic of events")
        verbose_name_plural = _("topics of events")

    def __str__(self) -> str:
        return self.topic


class OutEvent(models.Model):
    """Something that happened, which the readers of a topic are to hear in the order in which it
    happened to its key. Written with the change itself; `position` is given when it is sent.

    `seq` comes from a sequence while the writer holds the lock of the row that the key stands for:
    for one key it grows as the transactions follow each other, which clocks of two machines do not.
    """

    seq = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField(default=new_id, unique=True)
    topic = models.CharField(max_length=249)
    key = models.CharField(max_length=200)
    type = models.CharField(max_length=100)
    body = models.TextField(help_text="The document that is sent, byte by byte.")
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    position = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Its place in the topic, from 1 without gaps."
    )
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-seq"]
        verbose_name = _("event for a topic")
        verbose_name_plural = _("events for topics")
        permissions = [("read_outevent", "Can read the content of events for topics")]
        constraints = [
            models.UniqueConstraint(fields=["topic", "position"], name="outevent_position_once"),
            models.CheckConstraint(
                name="outevent_numbered_before_sent",
                condition=Q(sent_at=None) | Q(position__isnull=False),
            ),
        ]
        indexes = [
            # In the order of sending: numbered ones first, then those that are numbered next.
            models.Index(
                fields=["topic", "position", "seq"],
                condition=Q(sent_at=None),
                name="outevent_waiting",
            ),
            models.Index(
                fields=["sent_at"], condition=Q(sent_at__isnull=False), name="outevent_sent"
            ),
            models.Index(fields=["topic", "key", "seq"], name="outevent_of_key"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.event_id}"
