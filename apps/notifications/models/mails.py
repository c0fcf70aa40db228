"""E-mails to people, one row each, and the files that are attached to them."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.common.language import lazy as _

#: The permission to download what was attached to an e-mail.
DOWNLOAD_PERMISSION = "notifications.download_mailattachment"


class Mail(models.Model):
    """One e-mail to one person, written in the transaction of what happened, sent after it.

    To a `recipient`, a person with a login, or to somebody without one, whose `address` it has from
    the beginning.

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
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="mails",
    )
    address = models.CharField(
        max_length=254,
        blank=True,
        help_text="Without a login: where it goes. With one: where it was last sent to",
    )
    name = models.CharField(max_length=200, blank=True, help_text="Of somebody without a login")
    language = models.CharField(
        max_length=20, blank=True, help_text="It is written in; empty: the site's"
    )
    subject_type = models.CharField(max_length=60, blank=True, help_text="What it is about")
    subject_id = models.CharField(max_length=80, blank=True)
    kind = models.CharField(max_length=60, blank=True)
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
            ),
            models.CheckConstraint(
                name="mail_goes_somewhere",
                condition=Q(recipient__isnull=False, name="", subject_type="")
                | Q(recipient__isnull=True) & ~Q(address="") & ~Q(name="") & ~Q(subject_type=""),
            ),
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
            models.Index(name="mail_address", fields=["address"]),
            models.Index(
                name="mail_subject",
                fields=["subject_type", "subject_id", "-id"],
                condition=~Q(subject_type=""),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def person(self) -> str:
        """To whom it goes: the login's name, or the name that was given with the address."""
        return str(self.recipient) if self.recipient is not None else self.name


class MailContent(models.Model):
    """The bytes of a file that was attached, once for all e-mails that have the same one.

    They are made when the e-mail is queued, in the transaction of what it tells of, not when it is
    sent. So a kill finds them complete or not at all; a restored backup has them beside their
    e-mail; and what is sent again next year is what was sent, although the template, the code or
    the rows it was made from have changed: nobody gets two different invoices with one number.
    """

    sha256 = models.CharField(primary_key=True, max_length=64)
    size = models.PositiveIntegerField(help_text="Bytes")
    body = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        triggers = [pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return self.sha256


class MailAttachment(models.Model):
    """A file of an e-mail: its name there, its content type, and its bytes' digest and number."""

    mail = models.ForeignKey(Mail, on_delete=models.CASCADE, related_name="attachments")
    number = models.PositiveSmallIntegerField(help_text="From 1, in the order of the e-mail")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(help_text="Bytes")
    content = models.ForeignKey(MailContent, on_delete=models.PROTECT, related_name="attachments")

    class Meta:
        verbose_name = "attached file"
        permissions = [("download_mailattachment", "Can download what was attached to an e-mail")]
        ordering = ["mail_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["mail", "number"], name="mail_attachment_once")
        ]
        triggers = [pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return self.name
