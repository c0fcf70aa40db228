"""Filters of lists that people have saved under a name."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

if TYPE_CHECKING:
    from apps.accounts.models import User


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    """Queries of saved filters."""

    def offered_to(self, user: "User") -> Self:
        """Return the user's own filters and those shared by active users."""
        return self.filter(Q(owner=user.pk) | Q(shared=True, owner__is_active=True)).select_related(
            "owner"
        )


class SavedFilter(models.Model):
    """A named query string of a list; `shared` ones are offered to everybody who sees the list."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters"
    )
    page = models.CharField(max_length=60, help_text="The URL name of the list.")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=500, help_text="The query string, without the ?")
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="filter_name_once")
        ]
        indexes = [models.Index(fields=["page", "name"], name="filters_of_page")]

    def __str__(self) -> str:
        return self.name
