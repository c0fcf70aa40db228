"""Automations and the versions of their definitions."""

from typing import Any

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from apps.automations.contracts import Runner
from apps.common.identifiers import new_id
from apps.common.strict_json import document_of


class Automation(models.Model):
    """A definition under a name, in versions. Only one that is enabled can be executed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    code = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    runner = models.CharField(
        max_length=10, choices=[(one, one) for one in Runner], default=Runner.ENGINE
    )
    enabled = models.BooleanField(default=True)
    newest = models.PositiveIntegerField(help_text="Number of its newest version.")
    valid = models.PositiveIntegerField(
        default=0, help_text="Number of its newest version without issues, which is executed."
    )
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(F("created_at").desc(), F("id").desc(), name="automations_newest")]
        constraints = [
            models.CheckConstraint(
                name="automation_valid_known", condition=Q(valid__lte=F("newest"), newest__gte=1)
            )
        ]

    def __str__(self) -> str:
        return self.title


class AutomationVersion(models.Model):
    """A definition as somebody wrote it. It never changes. One with issues is a draft. One that
    came with a request to execute it belongs to no automation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    automation = models.ForeignKey(
        Automation, null=True, blank=True, on_delete=models.PROTECT, related_name="versions"
    )
    number = models.PositiveIntegerField(help_text="Its place, from 1; 0: of no automation.")
    name = models.CharField(max_length=200)
    # As it was typed: jsonb would put its members in another order.
    text = models.TextField(help_text="The definition, as JSON.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of its canonical JSON.")
    nodes = models.PositiveIntegerField(help_text="How many it has.")
    issues = models.JSONField(default=list, help_text="What is wrong with it; empty: it can run.")
    # Nobody of the site wrote what was started in the engine.
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "automations_version"
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["automation", "number"], name="automation_version_once"
            ),
            # Who sends the same definition a thousand times has written it once.
            models.UniqueConstraint(
                fields=["digest", "author"],
                condition=Q(automation=None),
                nulls_distinct=False,
                name="given_version_once",
            ),
        ]
        triggers = [pgtrigger.Protect(name="automation_version_stays", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"

    @property
    def document(self) -> Any:
        """Return the definition."""
        return document_of(self.text.encode())
