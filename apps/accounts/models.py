"""Users, API keys, sessions and rules of roles."""

from datetime import datetime

import pghistory
from django.contrib.auth.models import AbstractUser, Group
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.devices import device_name
from apps.common.language import lazy as _


class User(AbstractUser):
    """A person, or an account under which a program acts."""

    senior = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="juniors",
        help_text="Who is asked when what this person holds is not done in time.",
    )

    #: A role asks for a second factor and there is none. The login backend reads it along with the
    #: person of a session; it says nothing about a person read in another way.
    second_factor_due = False

    class Meta(AbstractUser.Meta):
        indexes = [
            # The site's search: each word in any of the columns.
            GinIndex(
                *(
                    OpClass(Upper(column), name="gin_trgm_ops")
                    for column in ("username", "first_name", "last_name", "email")
                ),
                name="user_search",
            )
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    @property
    def audit_id(self) -> str:
        """How audit entries name this person."""
        return f"user:{self.pk}"


class RoleRule(models.Model):
    """What a role requires of its members."""

    group = models.OneToOneField(Group, on_delete=models.CASCADE, related_name="rule")
    mfa_required = models.BooleanField(
        default=False, help_text="Nobody works in this role without a second factor."
    )

    def __str__(self) -> str:
        return str(self.group)


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
        verbose_name = _("API key")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def usable(self, as_of: datetime) -> bool:
        """Whether it is neither revoked nor expired at that time."""
        return self.revoked_at is None and (self.expires_at is None or as_of < self.expires_at)


class UserSession(models.Model):
    """A signed-in browser. The row refers to Django's session and is deleted with it."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("session")

    def __str__(self) -> str:
        # Never the session's key: whoever has it is signed in.
        return f"{self.device}, {self.address or gettext('address unknown')}"

    @property
    def device(self) -> str:
        """The browser as people call it."""
        return device_name(self.user_agent)
