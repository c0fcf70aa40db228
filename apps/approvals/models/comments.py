"""Comments on requests."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.approvals.models.requests import ApprovalRequest


class Comment(models.Model):
    """An immutable comment. `nonce` makes a form that is submitted twice create one comment."""

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="comments")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    nonce = models.CharField(max_length=64)
    mentions = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["request", "author", "nonce"], name="comment_once")
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.author}: {self.text[:60]}"
