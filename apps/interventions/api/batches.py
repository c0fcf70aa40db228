"""The API of batches. Mounted at /api/v1/intervention-batches."""

from typing import Annotated, Any
from uuid import UUID

import pydantic
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status
from ninja.errors import HttpError, ValidationError

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Cursor, Limit
from apps.common.errors import Invalid, NotFound
from apps.common.identifiers import number_of
from apps.common.pagination import page
from apps.common.strict_json import document_of
from apps.interventions import services
from apps.interventions.api.batch_shapes import (
    ActIn,
    BatchDetail,
    BatchForm,
    BatchHead,
    BatchIn,
    BatchPage,
    BatchRef,
    BatchTry,
    ItemPage,
    item_out,
    progress_out,
    ref,
    trial_out,
)
from apps.interventions.contracts import BatchItemStatus, BatchStatus
from apps.interventions.models import InterventionBatch
from apps.interventions.scopes import Scope
from apps.interventions.services.batches_input import file_items
from apps.interventions.services.batches_rows import batch_request_of, progress_by_batch
from apps.web.links import temporal_url

router = Router(tags=["batches"])


@router.post(
    "",
    response={200: BatchTry | BatchRef, 201: BatchRef},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": BatchIn.model_json_schema(ref_template="#/components/schemas/{model}")
                },
                "multipart/form-data": {
                    "schema": BatchForm.model_json_schema(
                        ref_template="#/components/schemas/{model}"
                    )
                },
            },
        }
    },
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
        trial = services.batch_try(**wanted, items=items, by=user, via="api", as_of=now)
        return Status(200, trial_out(trial))
    batch, created = services.batch_request(
        **wanted,
        items=items,
        title=head.title,
        idempotency_key=head.idempotency_key,
        by=user,
        via="api",
        as_of=now,
    )
    return Status(201 if created else 200, ref(batch))


@router.get("", response=BatchPage)
def batch_list(
    request: HttpRequest,
    status: BatchStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Those that the caller may see, newest first."""
    user = require(request, scope=Scope.INTERVENTIONS_READ)
    rows = _rows(user)
    if status is not None:
        rows = rows.filter(status=status)
    found = page(rows, cursor=cursor, limit=limit)
    counts = progress_by_batch(batch.pk for batch in found["items"])
    return {
        "items": [progress_out(batch, counts[batch.pk]) for batch in found["items"]],
        "next": found["next"],
    }


@router.get("/{batch_id}", response=BatchDetail)
def batch_read(request: HttpRequest, batch_id: UUID) -> dict[str, Any]:
    """How far it is."""
    return _detail(require(request, scope=Scope.INTERVENTIONS_READ), batch_id)


@router.get("/{batch_id}/items", response=ItemPage)
def batch_items(
    request: HttpRequest,
    batch_id: UUID,
    status: BatchItemStatus | None = None,
    cursor: Annotated[str | None, Query(max_length=10)] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """In the order in which they were given. Refusals: 422 `bad_cursor`."""
    batch = _get(require(request, scope=Scope.INTERVENTIONS_READ), batch_id)
    rows = batch.items.order_by("number")
    if status is not None:
        rows = rows.filter(status=status)
    if cursor:
        last = number_of(cursor, digits=9)
        if last is None:
            raise Invalid("The cursor is not one of ours.", code="bad_cursor")
        rows = rows.filter(number__gt=last)
    found = list(rows[: limit + 1])
    return {
        "items": [item_out(item) for item in found[:limit]],
        "next": str(found[limit - 1].number) if len(found) > limit else None,
    }


@router.post("/{batch_id}/pause", response=BatchDetail)
def batch_pause(request: HttpRequest, batch_id: UUID, body: ActIn | None = None) -> dict[str, Any]:
    """Begin no further item; those under way end.

    Refusals: 403 `permission_denied`; 404; 409 `not_running`, `already_settled`.
    """
    return _act(request, services.batch_pause, batch_id, body)


@router.post("/{batch_id}/resume", response=BatchDetail)
def batch_resume(request: HttpRequest, batch_id: UUID, body: ActIn | None = None) -> dict[str, Any]:
    """Go on. Refusals: 403 `permission_denied`; 404; 409 `not_paused`, `already_settled`."""
    return _act(request, services.batch_resume, batch_id, body)


@router.post("/{batch_id}/cancel", response=BatchDetail)
def batch_cancel(request: HttpRequest, batch_id: UUID, body: ActIn | None = None) -> dict[str, Any]:
    """What waits is never begun; what is under way ends.

    Refusals: 403 `permission_denied`; 404; 409 `already_settled`.
    """
    return _act(request, services.batch_cancel, batch_id, body)


# --- what comes in -------------------------------------------------------------------------------
def _sent(request: HttpRequest) -> tuple[BatchHead, list[Any]]:
    """The head and the items, of either form."""
    if request.content_type == "multipart/form-data":
        file = request.FILES.get("file")
        fields: dict[str, Any] = request.POST.dict()
        form = _checked(BatchForm, fields | ({} if file is None else {"file": b""}))
        assert isinstance(file, UploadedFile)  # the form has one
        # One byte more than is taken is enough to refuse it.
        return form, file_items(file.read(settings.BATCH_MAX_BYTES + 1))
    try:
        document = document_of(_body(request))
    except (ValueError, RecursionError) as error:
        raise HttpError(400, "Cannot parse request body") from error
    body = _checked(BatchIn, document)
    assert isinstance(body, BatchIn)
    return body, body.items


def _body(request: HttpRequest) -> bytes:
    """The whole of it: more than other documents may have."""
    most = settings.BATCH_MAX_BYTES
    try:
        return request.body
    except RequestDataTooBig:
        body = request.read(most + 1)
        if len(body) > most:
            raise
        return body


def _checked(schema: type[BatchHead], document: Any) -> BatchHead:
    try:
        return schema.model_validate(document)
    except pydantic.ValidationError as error:
        raise ValidationError(
            [
                {"loc": ("body", *one["loc"]), "type": one["type"], "msg": one["msg"]}
                for one in error.errors(include_input=False, include_context=False)
            ]
        ) from error


def _act(request: HttpRequest, verb: Any, batch_id: UUID, body: ActIn | None) -> dict[str, Any]:
    user = require(request, scope=Scope.INTERVENTIONS_WRITE)
    verb(
        batch_id=batch_id,
        by=user,
        via="api",
        reason=body.reason if body else "",
        as_of=timezone.now(),
    )
    return _detail(user, batch_id)


# --- shapes --------------------------------------------------------------------------------------
def _rows(user: User) -> Any:
    rows = InterventionBatch.objects.visible_to(user)
    return rows.select_related("policy", "budget", "requested_by")


def _get(user: User, batch_id: UUID) -> InterventionBatch:
    batch: InterventionBatch | None = _rows(user).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound("There is no such batch.")
    return batch


def _detail(user: User, batch_id: UUID) -> dict[str, Any]:
    batch = _get(user, batch_id)
    approval = batch_request_of(batch.pk)
    return {
        **progress_out(batch, progress_by_batch([batch.pk])[batch.pk]),
        "items_digest": batch.items_digest,
        "approval": approval.pk if approval else None,
        "temporal_url": temporal_url(batch.workflow_id) or None,
    }
