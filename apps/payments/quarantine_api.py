"""API of the quarantine. Mounted at /api/v1/quarantine."""

from base64 import b64encode
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Status

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Cursor, Limit, NumberCursor, ReasonIn, why
from apps.common.pagination import numbered_page, page
from apps.payments.bodies import body_of
from apps.payments.forms import QuarantineFilter
from apps.payments.models import (
    QuarantineAttempt,
    QuarantinedEvent,
    QuarantineEdit,
    QuarantineGroup,
)
from apps.payments.quarantine_shapes import (
    EditIn,
    EditOut,
    EditPage,
    GroupPage,
    ImportedAll,
    ImportPlace,
    QuarantinedDetail,
    QuarantinedOut,
    QuarantinedPage,
    Reason,
    Retarget,
    TrialIn,
    TrialOut,
)
from apps.payments.scopes import Scope
from apps.payments.services import desk, edits, imports, trials
from apps.payments.services.finding import event_unknown
from apps.web.filters import Narrow, filtered

router = Router(tags=["quarantine"])

VIEW = "payments.view_quarantinedevent"
PAYLOAD = "payments.read_payload"
EditNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", response=QuarantinedPage)
@filtered(QuarantineFilter)
def quarantine_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the events in the quarantine, the newest first."""
    user = require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    rows = narrow(QuarantinedEvent.objects.defer("raw", "key", "headers"), user=user)
    return page(rows, cursor=cursor, limit=limit, shape=_out)


@router.get("/groups", response=GroupPage)
def quarantine_groups(
    request: HttpRequest, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the groups of events that failed alike, those of the latest failure first."""
    require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    return page(QuarantineGroup.objects.all(), cursor=cursor, limit=limit, order="failed")


@router.post("/edits", response=ImportedAll)
def quarantine_import(request: HttpRequest, place: Query[ImportPlace]) -> dict[str, Any]:
    """Take corrected events in, an object with `id` and `event` a line (`application/x-ndjson`), as
    the list's file of JSON lines has them: each becomes an edit that somebody has to sign. At most
    500 lines and 8 MB. `reason`: of lines that have none of their own. Each line has its own
    outcome, and the same body again asks for nothing a second time.

    Refusals: 403 `permission_denied`; 413 `too_large`; 422 `empty_file`, `too_many_items`.
    """
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    lines = imports.edits_import(
        body=body_of(request, most=imports.MOST_BYTES),
        reason=place.reason,
        by=user,
        via="api",
        as_of=timezone.now(),
    )
    return {"items": [vars(line) for line in lines]}


@router.get("/{row_id}", response=QuarantinedDetail)
def quarantine_read(request: HttpRequest, row_id: UUID) -> dict[str, Any]:
    """Return one event. Refusals: 404 `quarantined_event_not_found`."""
    user = require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    row = _get(row_id)
    shown = user.has_perm(PAYLOAD) and row.raw is not None
    raw = b64encode(bytes(row.raw or b"")).decode() if shown else None
    return {
        **_out(row),
        "raw": raw,
        "raw_deleted_at": row.raw_deleted_at,
        "digest": row.digest,
        "attempts": [*map(_attempt, row.attempts.order_by("number")), _attempt_now(row)],
    }


# --- edits ----------------------------------------------------------------------------------------
@router.get("/{row_id}/edits", response=EditPage)
def quarantine_edits(
    request: HttpRequest, row_id: UUID, cursor: NumberCursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the versions of an event, the newest first."""
    user = require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    rows = _get(row_id).edits.select_related("requested_by")
    found = numbered_page(rows, cursor=cursor, limit=limit, order="-number")
    return {**found, "items": [_edit_out(edit, user) for edit in found["items"]]}


@router.post("/{row_id}/edits", response={200: EditOut, 201: EditOut})
def quarantine_edit_ask(request: HttpRequest, row_id: UUID, body: EditIn) -> Status[dict[str, Any]]:
    """Write a new version of an open event and ask for its signature, which somebody else gives.
    Repeating key and body returns the first one, with 200.

    Refusals: 403 `permission_denied`; 404 `quarantined_event_not_found`; 409 `already_replaying`,
    `already_settled`, `edit_waits`, `idempotency_key_reused`; 422 `edit_unreadable`,
    `field_locked`, `edit_changes_nothing`, `too_many_changes`, `reason_required`, `reason_invalid`.
    """
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    edit, created = edits.edit_ask(
        row_id=row_id, **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, _edit_out(edit, user))


@router.post("/{row_id}/edits/{number}/cancel", response=EditOut)
def quarantine_edit_withdraw(
    request: HttpRequest, row_id: UUID, number: EditNumber, body: ReasonIn | None = None
) -> dict[str, Any]:
    """Take back a version that is not signed yet; only who wrote it may. Refusals: 404
    `not_found`; 409 `already_settled`."""
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    found = _get(row_id).edits.filter(number=number).values_list("pk", flat=True).first()
    edit = edits.edit_cancel(
        edit_id=found or "", by=user, via="api", reason=why(body), as_of=timezone.now()
    )
    return _edit_out(edit, user)


@router.post("/{row_id}/dry-run", response=TrialOut)
def quarantine_dry_run(
    request: HttpRequest, row_id: UUID, body: TrialIn | None = None
) -> dict[str, Any]:
    """Say what a replay of the event would do now, of its newest signed version or of `text`: real
    rules, real writes, rolled back. `row` needs the permission to see contents."""
    user = require(request, scope=Scope.PAYMENTS_READ, permission=VIEW)
    trial = trials.event_try(_get(row_id), text=body.text if body else None)
    return {**trial.as_json(), "row": trial.row if user.has_perm(PAYLOAD) else {}}


# --- what a person decides ------------------------------------------------------------------------
@router.post("/{row_id}/replay", response=QuarantinedOut)
def quarantine_replay(request: HttpRequest, row_id: UUID) -> dict[str, Any]:
    """Carry an open event on under its own id, in its newest signed version or as it came.

    Refusals: 403 `permission_denied`; 404 `quarantined_event_not_found`; 409 `already_replaying`,
    `already_settled`, `not_replayable`, `event_known`, `event_waits_elsewhere`.
    """
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    return _out(desk.event_replay(row_id=row_id, by=user, via="api"))


@router.post("/{row_id}/retarget", response=QuarantinedOut)
def quarantine_retarget(request: HttpRequest, row_id: UUID, body: Retarget) -> dict[str, Any]:
    """Send an open event to one of `REPLAY_TOPICS`, with its bytes, key and headers as they came,
    and end it here. Repeating it sends nothing more.

    Refusals: 403 `permission_denied`; 404 `quarantined_event_not_found`; 409 `already_replaying`,
    `already_settled`, `content_not_kept`; 422 `topic_not_allowed`, `reason_required`,
    `reason_invalid`.
    """
    user = require(request, scope=Scope.PAYMENTS_WRITE)
    return _out(desk.event_retarget(row_id=row_id, **body.dict(), by=user, via="api"))


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
def _get(row_id: UUID) -> QuarantinedEvent:
    row = QuarantinedEvent.objects.filter(pk=row_id).first()
    if row is None:
        raise event_unknown()
    return row


def _attempt(one: QuarantineAttempt) -> dict[str, Any]:
    names = ("number", "stage", "code", "field", "errors", "failed_at")
    return {**{name: getattr(one, name) for name in names}, "version": one.edit}


def _attempt_now(row: QuarantinedEvent) -> dict[str, Any]:
    names = ("stage", "code", "field", "errors", "failed_at")
    found = {name: getattr(row, name) for name in names}
    return {**found, "number": row.attempt, "version": row.edit}


def _edit_out(edit: QuarantineEdit, user: User) -> dict[str, Any]:
    names = ("id", "number", "status", "field_class", "digest", "base", "reason")
    times = ("created_at", "settled_at")
    approval = edits.edit_approval(edit)
    sees = user.has_perm(PAYLOAD)
    hidden = [{"path": one["path"], "before": "", "after": ""} for one in edit.changes]
    return {
        **{name: getattr(edit, name) for name in (*names, *times)},
        "requested_by": edit.requested_by.username,
        "approval": approval.pk if approval else None,
        "text": bytes(edit.raw).decode("utf-8", "replace") if sees else None,
        "changes": edit.changes if sees else hidden,
    }


def _out(row: QuarantinedEvent) -> dict[str, Any]:
    names = ("event_id", "state", "stage", "code", "field", "errors", "attempt", "seen", "size")
    came = ("source", "topic", "partition", "offset", "created_at")
    return {
        "id": row.pk,
        "group": row.group_id,
        **{name: getattr(row, name) for name in (*names, *came)},
    }
