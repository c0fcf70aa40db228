"""API of synchronisations. Mounted at /api/v1/pix/sync-runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from apps.accounts.auth import require
from apps.common.api import Cursor, Failing, Key, Limit, NumberCursor, ReasonIn, page_of, why
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import numbered_page, page
from apps.pix.contracts.sync import DifferenceKind, DifferenceState, SyncPhase, SyncStatus
from apps.pix.forms.syncs import DifferenceFilter, SyncFilter
from apps.pix.models import SyncRun
from apps.pix.scopes import Scope
from apps.pix.services import sync_reporting, sync_requesting
from apps.pix.views.syncs import VIEW, report_file
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["pix"])


class SyncIn(Schema):
    """Which participant of ours."""

    model_config = ConfigDict(extra="forbid")

    participant: str = Field(max_length=20)
    idempotency_key: Key = ""


class SyncOut(Failing):
    """A synchronisation in short."""

    id: UUID
    workflow_id: str
    participant: str
    status: SyncStatus
    phase: SyncPhase
    trigger: str
    created_at: datetime
    settled_at: datetime | None


class SyncTypeOut(Schema):
    """A type of keys: whether both sides were equal, and are. `kinds`, `states` and `left` (why)
    count its differences."""

    key_type: str
    before: bool | None
    after: bool | None
    ours: int
    theirs: int | None
    log_events: int
    kinds: dict[str, int]
    states: dict[str, int]
    left: dict[str, int]
    error_code: str
    error_detail: str


class SyncDetail(SyncOut):
    """A synchronisation with its report, as far as it is."""

    types: list[SyncTypeOut]


class SyncDifferenceOut(Schema):
    """A difference. `cid_before`: ours, of an entry with other contents."""

    id: int
    key_type: str
    kind: DifferenceKind
    state: DifferenceState
    why: str
    detail: str
    key: str
    cid: str
    cid_before: str
    before: dict[str, Any]
    after: dict[str, Any]
    settled_at: datetime | None


SyncPage = page_of(SyncOut)
DifferencePage = page_of(SyncDifferenceOut)


@router.post("", response={200: SyncOut, 201: SyncOut})
def sync_create(request: HttpRequest, body: SyncIn) -> Status[SyncRun]:
    """Synchronise a participant of ours. Repeating key and body returns the first run, with 200.

    Refusals: 403 `permission_denied`; 409 `sync_running` (extra run_id), `idempotency_key_reused`;
    422 `ispb_invalid`, `participant_not_ours`.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    run, created = sync_requesting.sync_request(
        **body.dict(), by=user, via="api", as_of=timezone.now()
    )
    return Status(201 if created else 200, run)


@router.get("", response=SyncPage)
@filtered(SyncFilter)
def sync_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """List the runs that the caller may see, newest first."""
    user = require(request, scope=Scope.PIX_READ, permission=VIEW)
    return page(narrow(SyncRun.objects.visible_to(user), user=user), cursor=cursor, limit=limit)


@router.get("/{run_id}", response=SyncDetail)
def sync_read(request: HttpRequest, run_id: UUID) -> SyncRun:
    """Return one run with its verdicts and counts."""
    run: Any = _run(request, run_id)
    run.types = sync_reporting.report_of(run)["types"]
    return run


@router.get("/{run_id}/differences", response=DifferencePage)
@filtered(DifferenceFilter)
def sync_differences(
    request: HttpRequest,
    run_id: UUID,
    narrow: Narrow,
    cursor: NumberCursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """List the differences in the order in which they were found. Keys are masked."""
    user = require(request, scope=Scope.PIX_READ, permission=VIEW)
    rows = narrow(_run(request, run_id).differences.all(), user=user)
    found = numbered_page(rows, cursor=cursor, limit=limit, order="id", digits=18)
    return {**found, "items": [sync_reporting.line_of(row) for row in found["items"]]}


@router.get("/{run_id}/report.csv", response={200: None})
def sync_report_csv(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Return every difference as CSV."""
    return report_file(request, _run(request, run_id), "csv")


@router.get("/{run_id}/report.pdf", response={200: None})
def sync_report_pdf(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Return the report of an ended run as PDF. Refusals: 409 `sync_not_ended`."""
    return report_file(request, _run(request, run_id), "pdf")


@router.post("/{run_id}/stop", response=SyncOut)
def sync_stop(request: HttpRequest, run_id: UUID, body: ReasonIn | None = None) -> SyncRun:
    """Stop a run: what was repaired stays. Once more: the same.

    Refusals: 403 `permission_denied`; 404; 409 `already_settled` for one that has ended otherwise.
    """
    user = require(request, scope=Scope.PIX_WRITE)
    return sync_requesting.sync_stop(run_id, reason=why(body), by=user, via="api")


def _run(request: HttpRequest, run_id: UUID) -> SyncRun:
    user = require(request, scope=Scope.PIX_READ, permission=VIEW)
    missing = NotFound(_("There is no such synchronisation."))
    return row_of(SyncRun.objects.visible_to(user), missing, pk=run_id)
