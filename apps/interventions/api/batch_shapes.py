"""What the API reads and answers about batches."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from apps.common.api import Code, Currency, Key, Reason, Title
from apps.engine.contracts import RunProgress
from apps.interventions.api.base import ErrorOut
from apps.interventions.contracts import BatchItemStatus, BatchStatus
from apps.interventions.models import BatchItem, InterventionBatch
from apps.interventions.services.batches import BatchTrial
from apps.interventions.services.batches_input import Item
from apps.interventions.services.batches_warnings import BatchWarning


class BatchHead(Schema):
    model_config = ConfigDict(extra="forbid")

    policy: Code
    budget: Code
    currency: Currency
    title: Title = ""
    idempotency_key: Key = ""
    dry_run: bool = False


class BatchIn(BatchHead):
    """Items are `{amount, target, justification, region?}`, 1 to 20,000. They are looked at one by
    one: an item that is not sound has failed, the others go on."""

    items: list[Any]


class BatchForm(BatchHead):
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


def ref(batch: InterventionBatch) -> dict[str, Any]:
    return {"id": batch.pk, "workflow_id": batch.workflow_id, "status": batch.status}


def progress_out(batch: InterventionBatch, progress: RunProgress) -> dict[str, Any]:
    return {
        **ref(batch),
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


def item_out(item: BatchItem) -> dict[str, Any]:
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


def trial_out(trial: BatchTrial) -> dict[str, Any]:
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
