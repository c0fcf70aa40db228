"""A page, a verb or a row that somebody may not have."""

from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404

M = TypeVar("M", bound=Model)
E = TypeVar("E", bound=Exception)


class Denied(PermissionDenied):
    """403. Says what was asked for, so that the trail can: `apps.audit.doors` records it.

    `permission`: the one that is missing. `action`, `subject_type`: of the verb, for a form that
    was sent. `page`: what was asked for, where that is not the address of the request.
    """

    def __init__(
        self, permission: str = "", *, action: str = "", subject_type: str = "", page: str = ""
    ) -> None:
        # Without a text: the page of a 403 has its own words.
        super().__init__()
        self.permission = permission
        self.action = action
        self.subject_type = subject_type
        self.page = page


def hidden(error: E, permission: str = "") -> E:
    """The error, marked as a denial: the answer is 404, as for what is not there, and the trail has
    what a 403 leaves there."""
    error.__dict__["hides"] = Denied(permission)
    return error


def hidden_by(error: Exception) -> Denied | None:
    """What the error hides; None when there was nothing to hide."""
    found: Denied | None = error.__dict__.get("hides")
    return found


def row_of(visible: "QuerySet[M]", unknown: Exception | None = None, **lookup: Any) -> M:
    """The row among those that somebody may see; raises `unknown` (Http404) when there is none.

    A row that is there and not visible is a denial (`hidden`).
    """
    row = visible.filter(**lookup).first()
    if row is not None:
        return row
    error = unknown or Http404()
    every = visible.model._default_manager.filter(**lookup)
    raise hidden(error) if every.exists() else error
