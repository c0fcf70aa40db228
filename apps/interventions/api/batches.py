"""API of batches. Mounted at /api/v1/intervention-batches."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.request_body import described, document, form_with_file
from apps.engine.run_api import run_routes
from apps.interventions.api.batch_shapes import (
    BatchDetail,
    BatchForm,
    BatchHead,
    BatchIn,
    BatchItemOut,
    BatchOut,
    BatchRef,
    BatchTry,
)
from apps.interventions.batch_forms import BatchFilter
from apps.interventions.contracts import BatchItemStatus
from apps.interventions.models import InterventionBatch
from apps.interventions.scopes import Scope
from apps.interventions.services import batches
from apps.interventions.services.batches_input import file_items
from apps.interventions.services.batches_rows import RELATED, RUN

router = Router(tags=["batches"])


@router.post(
    "",
    response={200: BatchTry | BatchRef, 201: BatchRef},
    openapi_extra=described(json=BatchIn, form=BatchForm),
    summary="Ask for many payments under one signature",
)
def batch_create(request: HttpRequest) -> Status[Any]:
    """Request a batch, as JSON or as a form with a `file`, CSV or JSON lines. With `dry_run`
    nothing is stored, and the answer is 200 with the result that the batch would have. Repeating
    key and body returns the first batch, with 200.

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


def _rows(user: User) -> Any:
    return InterventionBatch.objects.visible_to(user).select_related(*RELATED)


run_routes(
    router,
    RUN,
    name="batch",
    rows=_rows,
    filters=BatchFilter,
    answers=(BatchOut, BatchDetail, BatchItemOut),
    statuses=BatchItemStatus,
    scopes=(Scope.INTERVENTIONS_READ, Scope.INTERVENTIONS_WRITE),
)


# --- input ---------------------------------------------------------------------------------------
def _sent(request: HttpRequest) -> tuple[BatchHead, list[Any]]:
    """Return the fields and the items, from JSON or from a form."""
    if request.content_type == "multipart/form-data":
        form, body = form_with_file(request, BatchForm, most=settings.BATCH_MAX_BYTES)
        return form, file_items(body)
    sent = document(request, BatchIn, most=settings.BATCH_MAX_BYTES)
    return sent, sent.items
