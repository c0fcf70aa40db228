"""API of a request's timeline."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Schema

from apps.accounts.auth import require
from apps.approvals.api.base import READ, router
from apps.approvals.api.requests import visible
from apps.approvals.contracts import SUBJECT_TYPE
from apps.approvals.services.rows import workflows_of
from apps.audit.selectors import ORDER, entries_about
from apps.common.api import Cursor, Limit, Words
from apps.common.pagination import page
from apps.engine.timeline import engine_lines, told
from apps.web.links import temporal_url


class TimelineLine(Schema):
    """`source`: `business` (users, and programs acting for them) or `engine` (Temporal)."""

    at: datetime
    text: Words
    who: Words
    via: Words
    detail: Words
    refused: bool
    source: str


class TimelinePage(Schema):
    """`items` are about the request and its subject, including refusals. `engine` has the newest
    events of its workflows, on the first page only; `degraded`: Temporal did not answer."""

    items: list[TimelineLine]
    next: str | None
    engine: list[TimelineLine]
    degraded: bool
    engine_url: str


class TimelinePlace(Schema):
    cursor: Cursor = None
    limit: Limit = 50


@router.get("/{request_id}/timeline", response=TimelinePage, summary="What happened, newest first")
def approval_timeline(
    request: HttpRequest, request_id: UUID, place: Query[TimelinePlace]
) -> dict[str, Any]:
    """For users who may see the request. Refusals: 404 `not_found`; 422 `bad_cursor`."""
    found = visible(request_id, require(request, scope=READ))
    rows = entries_about((SUBJECT_TYPE, found.pk), (found.subject_type, found.subject_id))
    entries = page(rows, cursor=place.cursor, limit=place.limit, order=ORDER)
    workflows = workflows_of(found)
    engine = [] if place.cursor else [engine_lines(workflow) for workflow in workflows]
    lines = [line for part in engine for line in part.lines]
    return {
        "items": told(entries["items"]),
        "next": entries["next"],
        "engine": sorted(lines, key=lambda line: line.at, reverse=True),
        "degraded": any(part.degraded for part in engine),
        "engine_url": temporal_url(workflows[0]),
    }
