"""Rulebooks of claims, in versions that are only ever added."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.engine.models_abstract import AskedQuerySet, AskedRow, asked_once, end_stays, status_field
from apps.pix.contracts import RulebookStatus

OPEN = [RulebookStatus.AWAITING_APPROVAL]


class ClaimRulebookQuerySet(AskedQuerySet["ClaimRulebook"]):
    """Queries that pages, API and admin share."""

    view_permission = "pix.view_claimrulebook"
    open_statuses = OPEN


class ClaimRulebook(AskedRow):
    """One version of a rulebook. A claim keeps the version under which it was opened.

    Two people change it: whoever writes a version, and whoever signs it.
    """

    # The two rulebooks that come with the product were written by nobody of the site.
    requested_by = models.ForeignKey(  # type: ignore[assignment]
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    code = models.SlugField(max_length=40)
    number = models.PositiveIntegerField(default=1)
    document = models.JSONField()
    digest = models.CharField(max_length=64, help_text="Of the document.")
    reason = models.TextField(max_length=2000, blank=True, help_text="Why it was changed.")
    status = status_field(RulebookStatus.AWAITING_APPROVAL)

    objects = ClaimRulebookQuerySet.as_manager()

    class Meta:
        ordering = ["code", "-number"]
        constraints = [
            asked_once("rulebook_key_once"),
            models.UniqueConstraint(fields=["code", "number"], name="rulebook_version_once"),
            models.UniqueConstraint(
                fields=["code"],
                condition=Q(status=RulebookStatus.ACTIVE),
                name="one_active_rulebook",
            ),
            models.UniqueConstraint(
                fields=["code"],
                condition=Q(status__in=OPEN),
                name="one_waiting_rulebook",
            ),
        ]
        permissions = [("change_rulebook", "Can write rulebooks of claims")]
        triggers = [
            pgtrigger.Protect(
                name="rulebook_stays", operation=pgtrigger.UpdateOf("code", "number", "document")
            ),
            end_stays(
                [RulebookStatus.REPLACED, RulebookStatus.REJECTED], name="rulebook_end_stays"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} v{self.number}"
