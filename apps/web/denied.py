"""Denials: a page, an action or a row that a user may not access."""

from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404

M = TypeVar("M", bound=Model)
E = TypeVar("E", bound=Exception)


class Denied(PermissionDenied):
    """A 403 that names what was asked for; `apps.audit.doors` audits it.

    `permission`: the missing one. `action`, `subject_type`: of the action, for a submitted form.
    `page`: what was asked for, if that is not the request's URL.
    """

    def __init__(
        self, permission: str = "", *, action: str = "", subject_type: str = "", page: str = ""
    ) -> None:
        # No text: the 403 page has its own.
        super().__init__()
        self.permission = permission
        self.action = action
        self.subject_type = subject_type
        self.page = page


def hidden(error: E, permission: str = "") -> E:
    """Mark the error as a denial: the answer stays 404, as for a missing row, but is audited like a
    403."""
    error.__dict__["hides"] = Denied(permission)
    return error


def hidden_by(error: Exception) -> Denied | None:
    """Return the denial that the error hides, or None."""
    found: Denied | None = error.__dict__.get("hides")
    return found


def row_of(visible: "QuerySet[M]", unknown: Exception | None = None, **lookup: Any) -> M:
    """Return the row among those the user may see; raise `unknown` (Http404) when there is none.

    A row that exists but is not visible is a denial (`hidden`).
    """
    row = visible.filter(**lookup).first()
    if row is not None:
        return row
    error = unknown or Http404()
    every = visible.model._default_manager.filter(**lookup)
    raise hidden(error) if every.exists() else error
