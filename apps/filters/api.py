"""API of saved filters. Mounted at /api/v1/filters."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Cursor, Limit
from apps.common.pagination import page
from apps.filters.models import SavedFilter
from apps.filters.scopes import Scope
from apps.filters.services import filter_delete, filter_save, may_delete, pages_of

router = Router(tags=["filters"])


class FilterOwner(Schema):
    username: str
    name: str


class FilterLine(Schema):
    """`page`: the list, by its URL name; `query`: a query string of it, which the API's operation
    that lists the same rows takes too. `deletable`: whether you may delete it."""

    id: int
    page: str
    name: str
    query: str
    shared: bool
    owner: FilterOwner
    deletable: bool
    created_at: datetime


class FilterPage(Schema):
    items: list[FilterLine]
    next: str | None


class NewFilter(Schema):
    # The schema limits only the size: the service checks the limits and audits refusals.
    page: Annotated[str, Field(max_length=1000, description="Such as inbox")]
    name: Annotated[str, Field(max_length=1000)]
    query: Annotated[str, Field(max_length=5000, description="Such as group=reviewer&due=over")]
    shared: Annotated[bool, Field(description="Offered to everybody who sees the list.")] = False


class FilterPlace(Schema):
    page: Annotated[str | None, Field(max_length=60, description="Only those of this list.")] = None
    cursor: Cursor = None
    limit: Limit = 50


@router.get("", response=FilterPage, summary="Saved filters: yours and shared ones")
def filter_list(request: HttpRequest, place: Query[FilterPlace]) -> dict[str, Any]:
    user = require(request, scope=Scope.FILTERS_READ)
    rows = SavedFilter.objects.offered_to(user).filter(page__in=pages_of(user))
    if place.page is not None:
        rows = rows.filter(page=place.page) if "\x00" not in place.page else rows.none()
    found = page(rows, cursor=place.cursor, limit=place.limit)
    return {"items": [_line(saved, user) for saved in found["items"]], "next": found["next"]}


@router.post("", response={201: FilterLine}, summary="Keep a filter")
def filter_create(request: HttpRequest, body: NewFilter) -> Status[dict[str, Any]]:
    """Save a filter; one of yours with the same list and name is replaced.

    Refusals: 403 `permission_denied`; 409 `too_many_filters`; 422 `page_unknown`, `name_invalid`,
    `query_invalid`.
    """
    user = require(request, scope=Scope.FILTERS_WRITE)
    saved = filter_save(owner=user, **body.dict(), via="api")
    return Status(201, _line(saved, user))


@router.delete("/{filter_id}", response={204: None}, summary="Forget a filter")
def filter_forget(request: HttpRequest, filter_id: int) -> Status[None]:
    """Delete a filter of yours, or a shared one with the permission to delete any. Refusals: 404
    `not_found`."""
    user = require(request, scope=Scope.FILTERS_WRITE)
    filter_delete(filter_id=filter_id, by=user, via="api")
    return Status(204, None)


def _line(saved: SavedFilter, user: User) -> dict[str, Any]:
    names = ("name", "query", "shared", "created_at")
    return {
        "id": saved.pk,
        "page": saved.page,
        **{name: getattr(saved, name) for name in names},
        "owner": {"username": saved.owner.username, "name": str(saved.owner)},
        "deletable": may_delete(saved, user),
    }
