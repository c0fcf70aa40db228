"""API of saved inbox filters."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, QueryDict
from ninja import Query, Schema, Status
from pydantic import Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.approvals.api.base import READ, WRITE, router
from apps.approvals.forms import InboxFilter
from apps.approvals.models import SavedFilter
from apps.approvals.services.filters import filter_delete, filter_save, may_delete
from apps.common.api import Cursor, Limit
from apps.common.pagination import page


class FilterOwner(Schema):
    username: str
    name: str


class FilterLine(Schema):
    """`query` is a query string of the inbox; the list of requests takes the same parameters.
    `deletable`: whether you may delete it."""

    id: int
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
    name: Annotated[str, Field(max_length=1000)]
    query: Annotated[str, Field(max_length=5000, description="Such as group=reviewer&due=over")]
    shared: Annotated[bool, Field(description="Offered to everybody.")] = False


class FilterPlace(Schema):
    cursor: Cursor = None
    limit: Limit = 50


@router.get("/filters", response=FilterPage, summary="Saved filters: yours and shared ones")
def filter_list(request: HttpRequest, place: Query[FilterPlace]) -> dict[str, Any]:
    user = require(request, scope=READ)
    found = page(SavedFilter.objects.offered_to(user), cursor=place.cursor, limit=place.limit)
    return {"items": [_line(saved, user) for saved in found["items"]], "next": found["next"]}


@router.post("/filters", response={201: FilterLine}, summary="Keep a filter")
def filter_create(request: HttpRequest, body: NewFilter) -> Status[dict[str, Any]]:
    """Save a filter; one of yours with the same name is replaced.

    Refusals: 409 `too_many_filters`; 422 `name_invalid`, `query_invalid`.
    """
    user = require(request, scope=WRITE)
    saved = filter_save(
        owner=user,
        name=body.name,
        query=body.query if InboxFilter(QueryDict(body.query)).is_valid() else "",
        shared=body.shared,
        via="api",
    )
    return Status(201, _line(saved, user))


@router.delete("/filters/{filter_id}", response={204: None}, summary="Forget a filter")
def filter_forget(request: HttpRequest, filter_id: int) -> Status[None]:
    """Delete a filter of yours, or a shared one with the permission to delete any. Refusals: 404
    `not_found`."""
    user = require(request, scope=WRITE)
    filter_delete(filter_id=filter_id, by=user, via="api")
    return Status(204, None)


def _line(saved: SavedFilter, user: User) -> dict[str, Any]:
    return {
        "id": saved.pk,
        "name": saved.name,
        "query": saved.query,
        "shared": saved.shared,
        "owner": {"username": saved.owner.username, "name": str(saved.owner)},
        "deletable": may_delete(saved, user),
        "created_at": saved.created_at,
    }
