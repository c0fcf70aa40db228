"""The API of batches. Mounted at /api/v1/intervention-batches."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Cursor, Limit, NumberCursor, ReasonIn
from apps.common.errors import NotFound
from apps.common.pagination import numbered_page, page
from apps.common.request_body import described, document, form_with_file
from apps.interventions.api.batch_shapes import (
    BatchDetail,
    BatchForm,
    BatchHead,
    BatchIn,
    BatchPage,
    BatchRef,
    BatchTry,
    ItemPage,
)
from apps.interventions.batch_forms import BatchFilter
from apps.interventions.contracts import BatchItemStatus
from apps.interventions.models import InterventionBatch
from apps.interventions.scopes import Scope
from apps.interventions.services import batches
from apps.interventions.services.batches_input import file_items
from apps.interventions.services.batches_rows import progress_by_batch
from apps.web.denied import row_of
from apps.web.filters import Narrow, filtered

router = Router(tags=["batches"])


@router.post(
    "",
    response={200: BatchTry | BatchRef, 201: BatchRef},
    openapi_extra=described(json=BatchIn, form=BatchForm),
    summary="Ask for many payments under one signature",
)
def batch_create(request: HttpRequest) -> Status[Any]:
    """As JSON or as a form with a `file`, CSV or JSON lines. With `dry_run` nothing is stored: 200
    says what it would come to. The same key and body again: the same one, with 200.

    Refusals: 403 `permission_denied`; 404 `policy_not_found`, `budget_not_found`; 409
    `policy_inactive`, `policy_not_yet_valid`, `policy_expired`, `budget_not_open`,
    `idempotency_key_reused`; 413 `too_large`; 422 `no_items`, `too_many_items`, `no_valid_items`,
    `amount_invalid` (of the sum), `currency_mismatch`, `title_invalid`, `csv_columns`,
    `csv_invalid`, `csv_encoding`, `json_invalid`, `line_too_long`, `invalid_text`, `empty_file`.
    """
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    head, items = _sent(request)
    wanted: dict[str, Any] = {
        "policy": head.policy,
        "budget": head.budget,
        "currency": head.currency,
    }
    now = timezone.now()
    if head.dry_run:
        trial = batches.batch_try(**wanted, items=items, by=user, via="api", as_of=now)
        return Status(200, trial)
    batch, created = batches.batch_request(
        **wanted,
        items=items,
        title=head.title,
        idempotency_key=head.idempotency_key,
        by=user,
        via="api",
        as_of=now,
    )
    return Status(201 if created else 200, batch)


@router.get("", response=BatchPage)
@filtered(BatchFilter)
def batch_list(
    request: HttpRequest, narrow: Narrow, cursor: Cursor = None, limit: Limit = 50
) -> dict[str, Any]:
    """Those that the caller may see, newest first."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    rows = narrow(_rows(user), user=user)
    found = page(rows, cursor=cursor, limit=limit)
    _count(*found["items"])
    return found


@router.get("/{batch_id}", response=BatchDetail)
def batch_read(request: HttpRequest, batch_id: UUID) -> InterventionBatch:
    """How far it is."""
    return _get(require(request, scope=Scope.INTERVENTIONS_READ), batch_id)


@router.get("/{batch_id}/items", response=ItemPage)
def batch_items(
    request: HttpRequest,
    batch_id: UUID,
    status: BatchItemStatus | None = None,
    cursor: NumberCursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """In the order in which they were given. Refusals: 422 `bad_cursor`."""
    batch = _get(require(request, scope=Scope.INTERVENTIONS_READ), batch_id)
    rows = batch.items.filter(**{"status": status} if status else {})
    return numbered_page(rows, cursor=cursor, limit=limit)


@router.post("/{batch_id}/pause", response=BatchDetail)
def batch_pause(request: HttpRequest, batch_id: UUID, body: ReasonIn | None = None) -> Any:
    """Begin no further item; those under way end.

    Refusals: 403 `permission_denied`; 404; 409 `not_running`, `already_settled`.
    """
    return _act(request, batches.batch_pause, batch_id, body)


@router.post("/{batch_id}/resume", response=BatchDetail)
def batch_resume(request: HttpRequest, batch_id: UUID, body: ReasonIn | None = None) -> Any:
    """Go on. Refusals: 403 `permission_denied`; 404; 409 `not_paused`, `already_settled`."""
    return _act(request, batches.batch_resume, batch_id, body)


@router.post("/{batch_id}/cancel", response=BatchDetail)
def batch_cancel(request: HttpRequest, batch_id: UUID, body: ReasonIn | None = None) -> Any:
    """What waits is never begun; what is under way ends.

    Refusals: 403 `permission_denied`; 404; 409 `already_settled`.
    """
    return _act(request, batches.batch_cancel, batch_id, body)


# --- what comes in -------------------------------------------------------------------------------
def _sent(request: HttpRequest) -> tuple[BatchHead, list[Any]]:
    """The head and the items, of either form."""
    if request.content_type == "multipart/form-data":
        form, body = form_with_file(request, BatchForm, most=settings.BATCH_MAX_BYTES)
        return form, file_items(body)
    sent = document(request, BatchIn, most=settings.BATCH_MAX_BYTES)
    return sent, sent.items


def _act(request: HttpRequest, verb: Any, batch_id: UUID, body: ReasonIn | None) -> Any:
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    reason = body.reason if body else ""
    verb(batch_id=batch_id, by=user, via="api", reason=reason, as_of=timezone.now())
    return _get(user, batch_id)


# --- the rows ------------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    rows = InterventionBatch.objects.visible_to(user)
    return rows.select_related("policy", "budget", "requested_by")


def _get(user: User, batch_id: UUID) -> InterventionBatch:
    batch: InterventionBatch = row_of(_rows(user), NotFound("There is no such batch."), pk=batch_id)
    _count(batch)
    return batch


def _count(*rows: InterventionBatch) -> None:
    """Give each its `progress`, which BatchOut reads."""
    counts = progress_by_batch(batch.pk for batch in rows)
    for batch in rows:
        batch.progress = counts[batch.pk]  # type: ignore[attr-defined]
