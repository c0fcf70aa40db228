"""API of the quarantine. Mounted at /api/v1/quarantine."""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import ConfigDict

from apps.accounts.auth import require
from apps.common.api import Cursor, Limit
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.payments.contracts import QuarantineState
from apps.payments.models import QuarantinedEvent, QuarantineGroup
from apps.payments.scopes import Scope
from apps.payments.services import desk

router = Router(tags=["quarantine"])

VIEW = "payments.view_quarantinedevent"
PAYLOAD = "payments.read_payload"


class Problem(Schema):
    code: str
    field: str = ""
    message: str = ""


class QuarantinedOut(Schema):
    """A message that failed. `code` and `field` are those of the first of `errors`; `event_id` is
    null where none could be read; `seen`: how often the message came."""

    id: UUID
    event_id: str | None
    state: QuarantineState
    stage: str
    code: str
    field: str
    errors: list[Problem]
    group: int
    attempt: int
    seen: int
    size: int
    source: str
    topic: str
    partition: int | None
    offset: str
    created_at: datetime


class QuarantinedDetail(QuarantinedOut):
    """With `raw`, the bytes as they came, in base64; null without the permission to see contents,
    for a message without a value, and when they are deleted (`raw_deleted_at`)."""

    raw: str | None
    raw_deleted_at: datetime | None
    digest: str


class QuarantinedPage(Schema):
    items: list[QuarantinedOut]
    next: str | None


class GroupOut(Schema):
    """Events that failed alike, counted by state."""

    id: int
    stage: str
    code: str
    field: str
    open: int
    replaying: int
    replayed: int
    discarded: int
    superseded: int
    first_at: datetime
    last_at: datetime


class GroupPage(Schema):
    items: list[GroupOut]
    next: str | None


class Reason(Schema):
    """Why, in a sentence."""

    model_config = ConfigDict(extra="forbid")

    reason: str = ""


class Narrowed(Schema):
    """Which events are listed: of this state, and of this group."""

    state: QuarantineState | None = None
    group: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None


@router.get("", response=QuarantinedPage)
def quarantine_list(
    request: HttpRequest, narrow: Query[Narrowed], cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the events in the quarantine, the newest first."""
    require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    rows = QuarantinedEvent.objects.defer("raw", "key", "headers")
    if narrow.state is not None:
        rows = rows.filter(state=narrow.state)
    if narrow.group is not None:
        rows = rows.filter(group=narrow.group)
    return page(rows, cursor=cursor, limit=limit, shape=_out)


@router.get("/groups", response=GroupPage)
def quarantine_groups(
    request: HttpRequest, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the groups of events that failed alike, those of the latest failure first."""
    require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    return page(QuarantineGroup.objects.all(), cursor=cursor, limit=limit, order="failed")


@router.get("/{row_id}", response=QuarantinedDetail)
def quarantine_read(request: HttpRequest, row_id: UUID) -> dict[str, Any]:
    """Return one event. Refusals: 404 `quarantined_event_not_found`."""
    user = require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    row = QuarantinedEvent.objects.filter(pk=row_id).first()
    if row is None:
        raise NotFound(
            _("There is no such event in the quarantine."), code="quarantined_event_not_found"
        )
    shown = user.has_perm(PAYLOAD) and row.raw is not None
    raw = b64encode(bytes(row.raw or b"")).decode() if shown else None
    return {**_out(row), "raw": raw, "raw_deleted_at": row.raw_deleted_at, "digest": row.digest}


@router.post("/{row_id}/replay", response=QuarantinedOut)
def quarantine_replay(request: HttpRequest, row_id: UUID) -> dict[str, Any]:
    """Carry an open event on as it came, under its own id. Refusals: 403 `permission_denied`; 404
    `quarantined_event_not_found`; 409 `already_replaying`, `already_settled`, `not_replayable`,
    `event_known`."""
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    return _out(desk.event_replay(row_id=row_id, by=user, via="api"))


@router.post("/{row_id}/discard", response=QuarantinedOut)
def quarantine_discard(request: HttpRequest, row_id: UUID, body: Reason) -> dict[str, Any]:
    """Discard an open event, with a reason. Refusals: 403 `permission_denied`; 404
    `quarantined_event_not_found`; 409 `already_replaying`, `already_settled`; 422
    `reason_required`, `reason_invalid`."""
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    return _out(desk.event_discard(row_id=row_id, by=user, via="api", reason=body.reason))


@router.post("/{row_id}/restore", response=QuarantinedOut)
def quarantine_restore(request: HttpRequest, row_id: UUID, body: Reason) -> dict[str, Any]:
    """Take a discarding back. Refusals: 403 `permission_denied`; 404
    `quarantined_event_not_found`; 409 `already_replaying`, `already_settled`,
    `event_waits_elsewhere`, `payload_deleted`; 422 `reason_invalid`."""
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    return _out(desk.event_restore(row_id=row_id, by=user, via="api", reason=body.reason))


# --- helpers --------------------------------------------------------------------------------------
def _out(row: QuarantinedEvent) -> dict[str, Any]:
    names = ("event_id", "state", "stage", "code", "field", "errors", "attempt", "seen", "size")
    came = ("source", "topic", "partition", "offset", "created_at")
    return {
        "id": row.pk,
        "group": row.group_id,
        **{name: getattr(row, name) for name in (*names, *came)},
    }
