"""Abstract models: columns and triggers of rows carried by a workflow. No tables of their own."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import pgtrigger
from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.common.identifiers import new_id

if TYPE_CHECKING:
    from apps.accounts.models import User

R = TypeVar("R", bound=models.Model)


class AskedQuerySet(models.QuerySet[R]):
    """Queries that pages, API and admin share. `view_permission` lets users see what others asked
    for; `open_statuses` are those in which a row has not ended: listed, not excluded, because the
    partial indexes name them. `listed_with`: the relations that a list's row shows."""

    view_permission: ClassVar[str]
    open_statuses: ClassVar[Iterable[str]]
    listed_with: ClassVar[tuple[str, ...]] = ("requested_by",)

    def visible_to(self, user: "User") -> Self:
        """Return all rows with the view permission, else the user's own."""
        return self.filter(self.seen_by(user))

    def seen_by(self, user: "User") -> models.Q:
        """Return the condition of `visible_to`."""
        everything = user.has_perm(self.view_permission)
        return models.Q() if everything else models.Q(requested_by=user.pk)

    def unsettled(self) -> Self:
        """Return the rows that have not ended."""
        return self.filter(status__in=self.open_statuses)

    def for_list(self) -> Self:
        """Return the rows newest first, with what a list's row shows, in one query."""
        return self.select_related(*self.listed_with).order_by("-created_at", "-id")


class AskedRow(models.Model):
    """A row that a user asked for. A model adds its `status`, with its own choices."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    idempotency_key = models.CharField(max_length=120, blank=True)
    request_digest = models.CharField(max_length=64, help_text="Of the body, to tell a repeat.")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1, help_text="Goes up with every change.")
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def has_ended(self) -> bool:
        """Return whether the row has ended: its status never changes any more."""
        rows: Any = type(self)._default_manager.all()
        row: Any = self
        return row.status not in rows.open_statuses


class ProcessRow(AskedRow):
    """A row that a workflow carries (`apps.engine.process`)."""

    workflow_id = models.CharField(max_length=200, unique=True)

    class Meta:
        abstract = True


class Run(ProcessRow):
    """A row with many items (`apps.engine.runs`). A model adds its `status`, with choices."""

    status: "models.CharField[str, str]"
    total = models.PositiveIntegerField(help_text="Items.")

    class Meta:
        abstract = True


class RunItem(models.Model):
    """An item of a run. A model adds its `status`, with choices, and the foreign key to its run."""

    status: "models.CharField[str, str]"
    number = models.PositiveIntegerField(help_text="Its place, from 1.")
    error_code = models.CharField(max_length=60, blank=True)
    error_detail = models.TextField(blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class StepRow(models.Model):
    """A saga's step as people see it (`apps.engine.steps`). The workflow's history is
    authoritative. A model adds the foreign key to its row, with the `related_name` "steps", and a
    unique constraint over that key and `name`."""

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        COMPENSATED = "compensated"

    name = models.CharField(max_length=30)
    status = models.CharField(max_length=12, choices=Status, default=Status.RUNNING)
    attempts = models.PositiveIntegerField(default=1)
    detail = models.TextField(blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


def status_field(first: StrEnum, *, longest: int = 20) -> "models.CharField[str, str]":
    """Return a column for the statuses of `first`'s enumeration; `first` is the default."""
    return models.CharField(
        max_length=longest, choices=[(status, status) for status in type(first)], default=first
    )


def asked_once(name: str) -> models.UniqueConstraint:
    """Return the constraint that a user's idempotency key makes one row
    (`apps.common.idempotency`)."""
    return models.UniqueConstraint(
        fields=["requested_by", "idempotency_key"],
        condition=~models.Q(idempotency_key=""),
        name=name,
    )


def end_stays(ends: Iterable[str], *, name: str) -> pgtrigger.Protect:
    """Return a trigger that keeps the status of ended rows unchanged, even by raw SQL."""
    return pgtrigger.Protect(
        name=name,
        operation=pgtrigger.Update,
        condition=pgtrigger.Q(old__status__in=list(ends))
        & pgtrigger.Q(new__status__df=pgtrigger.F("old__status")),
    )


def as_signed(*columns: str, name: str) -> pgtrigger.Protect:
    """Return a trigger that keeps signed columns unchanged, even by raw SQL."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.UpdateOf(*columns))
