"""The API of batches. Mounted at /api/v1/intervention-batches."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import pydantic
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from ninja.errors import HttpError, ValidationError
from pydantic import ConfigDict, Field

from apps.accounts.auth import require
from apps.accounts.models import User
from apps.common.api import Code, Currency, Cursor, Key, Limit, Reason, Title
from apps.common.errors import Invalid, NotFound
from apps.common.identifiers import number_of
from apps.common.pagination import page
from apps.common.strict_json import document_of
from apps.interventions import services
from apps.interventions.api.base import ErrorOut
from apps.interventions.contracts import BatchItemStatus, BatchProgress, BatchStatus
from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.scopes import Scope
from apps.interventions.services.batches import BatchTrial
from apps.interventions.services.batches_input import Item, csv_items
from apps.interventions.services.batches_rows import batch_request_of, progress_by_batch
from apps.interventions.services.batches_warnings import BatchWarning
from apps.web.links import temporal_url

router = Router(tags=["batches"])


class _Head(Schema):
    model_config = ConfigDict(extra="forbid")

    policy: Code
    budget: Code
    currency: Currency
    title: Title = ""
    idempotency_key: Key = ""
    dry_run: bool = False


class BatchIn(_Head):
    """Items are `{amount, target, justification, region?}`, 1 to 20,000. They are looked at one by
    one: an item that is not sound has failed, the others go on."""

    items: list[Any]


class BatchForm(_Head):
    """The same with a CSV file instead of the items: a first line with the columns amount, target,
    justification and, if wanted, region; separated by comma, semicolon or tab; UTF-8. An amount
    there may be written 1234.56, 1234,56, 1,234.56 or 1.234,56; what can be meant in two ways
    (1,234) fails its item with `amount_ambiguous`."""

    file: Annotated[bytes, Field(json_schema_extra={"format": "binary"})]


class ActIn(Schema):
    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""


class BatchRef(Schema):
    id: UUID
    workflow_id: str
    status: BatchStatus


class BatchError(ErrorOut):
    """`line`: where the item begins in a file, null where there is none."""

    number: int
    line: int | None


class BatchTry(Schema):
    """What it would come to. `errors` are the first 100 items that would fail; `warnings` the first
    100 that look like another payment (`same_in_batch`, `paid_recently`: within 30 days), of
    `warned` in all; `signatures` says who would have to sign, empty: nobody; `covered`: the budget
    has that much free now."""

    dry_run: bool = True
    total: int
    sound: int
    failed: int
    amount: str
    currency: str
    errors: list[BatchError]
    warnings: list[BatchError]
    warned: int
    signatures: str
    available: str
    covered: bool


class BatchOut(BatchRef):
    """total = waiting + running + done + failed + cancelled. `amount` is of the sound items."""

    title: str
    policy: str
    policy_version: int
    budget: str
    amount: str
    currency: str
    requested_by: str
    total: int
    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int
    created_at: datetime
    started_at: datetime | None
    settled_at: datetime | None
    error: ErrorOut | None


class BatchDetail(BatchOut):
    """`approval` is the id of its request for a signature, null when none was needed."""

    items_digest: str
    approval: UUID | None
    temporal_url: str | None


class BatchPage(Schema):
    items: list[BatchOut]
    next: str | None


class ItemOut(Schema):
    """`amount` is null and `raw` is what came, where the item was not sound."""

    number: int
    status: BatchItemStatus
    amount: str | None
    target: str
    justification: str
    region: str
    intervention: UUID | None
    error: ErrorOut | None
    raw: Any
    settled_at: datetime | None


class ItemPage(Schema):
    items: list[ItemOut]
    next: str | None


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
    """As JSON or as a form with a CSV `file`. With `dry_run` nothing is stored: 200 says what it
    would come to. The same key and body again: the same one, with 200.

    Refusals: 403 `permission_denied`; 404 `policy_not_found`, `budget_not_found`; 409
    `policy_inactive`, `policy_not_yet_valid`, `policy_expired`, `budget_not_open`,
    `idempotency_key_reused`; 413 `too_large`; 422 `no_items`, `too_many_items`, `no_valid_items`,
    `amount_invalid` (of the sum), `currency_mismatch`, `title_invalid`, `csv_columns`,
    `csv_invalid`, `csv_encoding`, `empty_file`.
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
        return Status(200, _trial(trial))
    batch, created = services.batch_request(
        **wanted,
        items=items,
        title=head.title,
        idempotency_key=head.idempotency_key,
        by=user,
        via="api",
        as_of=now,
    )
    return Status(201 if created else 200, _ref(batch))


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
        "items": [_out(batch, counts[batch.pk]) for batch in found["items"]],
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
        "items": [_item(item) for item in found[:limit]],
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
def _sent(request: HttpRequest) -> tuple[_Head, list[Any]]:
    """The head and the items, of either form."""
    if request.content_type == "multipart/form-data":
        file = request.FILES.get("file")
        fields: dict[str, Any] = request.POST.dict()
        form = _checked(BatchForm, fields | ({} if file is None else {"file": b""}))
        assert isinstance(file, UploadedFile)  # the form has one
        # One byte more than is taken is enough to refuse it.
        return form, csv_items(file.read(settings.BATCH_MAX_BYTES + 1))
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


def _checked(schema: type[_Head], document: Any) -> _Head:
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
        **_out(batch, progress_by_batch([batch.pk])[batch.pk]),
        "items_digest": batch.items_digest,
        "approval": approval.pk if approval else None,
        "temporal_url": temporal_url(batch.workflow_id) or None,
    }


def _ref(batch: InterventionBatch) -> dict[str, Any]:
    return {"id": batch.pk, "workflow_id": batch.workflow_id, "status": batch.status}


def _out(batch: InterventionBatch, progress: BatchProgress) -> dict[str, Any]:
    return {
        **_ref(batch),
        "title": batch.title,
        "policy": batch.policy.code,
        "policy_version": batch.policy.version,
        "budget": batch.budget.code,
        "amount": f"{batch.amount:.2f}",
        "currency": batch.currency,
        "requested_by": batch.requested_by.get_username(),
        "total": batch.total,
        "waiting": progress.waiting,
        "running": progress.running,
        "done": progress.done,
        "failed": progress.failed,
        "cancelled": progress.cancelled,
        "created_at": batch.created_at,
        "started_at": batch.started_at,
        "settled_at": batch.settled_at,
        "error": _error(batch),
    }


def _item(item: BatchItem) -> dict[str, Any]:
    return {
        "number": item.number,
        "status": item.status,
        "amount": None if item.amount is None else f"{item.amount:.2f}",
        "target": item.target,
        "justification": item.justification,
        "region": item.region,
        "intervention": item.intervention_id,
        "error": _error(item),
        "raw": item.raw,
        "settled_at": item.settled_at,
    }


def _error(row: InterventionBatch | BatchItem) -> dict[str, str] | None:
    return {"code": row.error_code, "detail": row.error_detail} if row.error_code else None


def _trial(trial: BatchTrial) -> dict[str, Any]:
    return {
        "dry_run": True,
        "total": trial.total,
        "sound": trial.sound,
        "failed": trial.total - trial.sound,
        "amount": f"{trial.amount:.2f}",
        "currency": trial.currency,
        "errors": [_told(item) for item in trial.errors],
        "warnings": [_told(warning) for warning in trial.warned.first],
        "warned": trial.warned.total,
        "signatures": trial.signatures,
        "available": f"{trial.available:.2f}",
        "covered": trial.covered,
    }


def _told(one: Item | BatchWarning) -> dict[str, Any]:
    return {
        "number": one.number,
        "line": one.line or None,
        "code": one.code,
        "detail": one.detail,
    }
