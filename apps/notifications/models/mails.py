"""E-mails to people, one row each."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.language import lazy as _


class Mail(models.Model):
    """One e-mail to one person, written in the transaction of what happened, sent after it.

    pending → leased → handing_over → sent. A sender that dies while `leased` has told the mail
    server nothing that counts: the row is pending again when the lease is over. One that dies while
    `handing_over` may have been believed: the row becomes `unknown` and is never sent by itself.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("waits")
        LEASED = "leased", _("being prepared")
        HANDING_OVER = "handing_over", _("being handed over")
        SENT = "sent"
        FAILED = "failed"
        UNKNOWN = "unknown", _("perhaps sent")
        DROPPED = "dropped", _("not wanted any more")

    key = models.CharField(max_length=200, unique=True)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mails"
    )
    address = models.CharField(max_length=254, blank=True, help_text="Where it was last sent to")
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    lease = models.CharField(max_length=32, blank=True, help_text="Which sender has it in hand")
    leased_until = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "e-mail"
        permissions = [("resend_mail", "Can send an e-mail again")]
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="mail_lease_has_an_end",
                condition=~Q(state__in=["leased", "handing_over"])
                | Q(leased_until__isnull=False) & ~Q(lease=""),
            )
        ]
        indexes = [
            models.Index(
                name="mail_due", fields=["next_try_at", "id"], condition=Q(state="pending")
            ),
            models.Index(
                name="mail_leased",
                fields=["leased_until"],
                condition=Q(state__in=["leased", "handing_over"]),
            ),
            models.Index(fields=["-created_at", "-id"]),
        ]

    def __str__(self) -> str:
        return self.title
