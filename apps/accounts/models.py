"""People and the keys with which programs act for them."""

from datetime import datetime

import pghistory
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    """A person, or the account that a program acts under."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def audit_id(self) -> str:
        """How audit entries name this person."""
        return f"user:{self.pk}"


@pghistory.track(exclude=["last_used_at", "secret_hash"])
class APIKey(models.Model):
    """A scoped key. Only its SHA-256 is kept; the prefix finds it and names it in lists.

    The key acts with the permissions of `user`, narrowed to `scopes`. A plain hash is enough:
    the secret has 256 random bits, there is nothing to guess.
    """

    name = models.CharField(max_length=80)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    prefix = models.CharField(max_length=12, unique=True)
    secret_hash = models.CharField(max_length=64)
    scopes = ArrayField(
        models.CharField(max_length=40), help_text="`all`, or names such as interventions:write"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def usable(self, as_of: datetime) -> bool:
        """Whether it is neither revoked nor expired at that time."""
        return self.revoked_at is None and (self.expires_at is None or as_of < self.expires_at)
