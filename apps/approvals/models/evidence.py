"""Evidence: files attached to a request. The content has its own table, so that lists stay
light."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.approvals.models.requests import ApprovalRequest
from apps.common.identifiers import new_id
from apps.common.language import lazy as _

#: The permission to erase evidence for good. No default role has it.
ERASE_PERMISSION = "approvals.delete_evidence"


class Evidence(models.Model):
    """A file: its content type as detected, its size, its digest and who uploaded it."""

    class Scan(models.TextChoices):
        CLEAN = "clean"
        REFUSED = "refused"
        NOT_SCANNED = "not_scanned", _("not scanned")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="evidence")
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=100, help_text="Told from the content, not the name")
    size = models.PositiveIntegerField(help_text="Bytes")
    sha256 = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True)
    payload_number = models.PositiveIntegerField(help_text="The version of what was asked then")
    scan = models.CharField(max_length=12, choices=Scan, default=Scan.NOT_SCANNED)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True)
    erased_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    erased_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["created_at", "id"]
        verbose_name_plural = _("evidence")
        constraints = [
            models.UniqueConstraint(fields=["request", "sha256"], name="evidence_once"),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="immutable", exclude=["erased_at", "erased_by", "erased_reason"]
            ),
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name


class EvidenceContent(models.Model):
    """The bytes of a file. Deleting this row erases the evidence."""

    evidence = models.OneToOneField(
        Evidence, primary_key=True, on_delete=models.PROTECT, related_name="content"
    )
    body = models.BinaryField()

    class Meta:
        triggers = [pgtrigger.Protect(name="immutable", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return str(self.evidence_id)
