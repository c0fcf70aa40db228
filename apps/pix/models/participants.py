"""Participants of the payment system, and what is known of the calls to the directory."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.pix.contracts import LONGEST_ID

#: Eight letters or digits. A number would lose the zeros in front.
ISPB = r"^[0-9A-Z]{8}$"


class Participant(models.Model):
    """A participant. `ours`: this installation acts for it in the directory."""

    ispb = models.CharField(max_length=8, primary_key=True)
    name = models.CharField(max_length=150, blank=True)
    ours = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["ispb"]
        constraints = [
            models.CheckConstraint(name="participant_ispb_shape", condition=Q(ispb__regex=ISPB))
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.ispb})" if self.name else self.ispb


class DirectoryCall(models.Model):
    """A call that changes the directory, noted before it is sent.

    An operation without a request id must not be sent twice: once `sent_at` is set, the directory
    is asked for its effect before it is sent again. `answer` is kept for good, so that a repeat of
    the step answers as the first time.
    """

    key = models.CharField(max_length=160, unique=True, help_text="Row and operation.")
    operation = models.CharField(max_length=40)
    participant = models.CharField(max_length=8)
    request_id = models.UUIDField(null=True, blank=True)
    noted_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    known_at = models.DateTimeField(null=True, blank=True)
    answer = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["sent_at"], condition=Q(known_at=None), name="call_unanswered")
        ]

    def __str__(self) -> str:
        return self.key


class DirectoryCursor(models.Model):
    """How far the directory's lists were read: everything modified until then was seen."""

    participant = models.CharField(max_length=8)
    resource = models.CharField(max_length=20)
    read_until = models.DateTimeField()
    #: Ids that were seen in the overlap of two windows, with their modification: they come again.
    seen = ArrayField(models.CharField(max_length=LONGEST_ID + 40), default=list, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["participant", "resource"], name="cursor_once")
        ]

    def __str__(self) -> str:
        return f"{self.participant} {self.resource}"
